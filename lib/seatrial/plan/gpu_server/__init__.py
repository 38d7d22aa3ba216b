"""Plans for SGLang and vLLM: equal GPUs share a model, and a part of their memory holds requests."""
