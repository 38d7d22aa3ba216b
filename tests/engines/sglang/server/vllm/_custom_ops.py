"""The three kernels, in plain PyTorch."""

import torch


def rms_norm(out, given, weight, epsilon):
    """``out`` becomes the normed ``given``."""
    wide = given.float()
    normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    out.copy_(normed.to(given.dtype) * weight)


def fused_add_rms_norm(given, residual, weight, epsilon):
    """Add the input to the residual, and replace the input by the normed residual."""
    residual.add_(given)
    rms_norm(given, residual, weight, epsilon)


def rotary_embedding(positions, query, key, head_size, cos_sin_cache, _is_neox):
    """Query and key are turned in place, the halves of each head as pairs."""
    cos, sin = (part[:, None] for part in cos_sin_cache[positions.flatten()].float().chunk(2, dim=-1))
    turned = 2 * cos.shape[-1]
    for tensor in (query, key):
        heads = tensor.view(positions.numel(), -1, head_size)
        first, second = heads[..., :turned].float().chunk(2, dim=-1)
        pairs = (first * cos - second * sin, second * cos + first * sin)
        heads[..., :turned] = torch.cat(pairs, dim=-1).to(tensor.dtype)
