"""Plans for llama.cpp, MLX and the simulator: one machine, its GPUs and host memory together."""
