"""In place of vLLM, whose kernels SGLang borrows on a processor that its own are not built for."""
