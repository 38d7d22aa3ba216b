"""Checks the kit step by step on a machine with an NVIDIA GPU, for tools/gpu_proof.py."""
