"""Writes a tiny Llama with random weights in the files engines read: config.json, safetensors, a tokenizer of bytes.

Its answers are noise; the engine that gives them is real. Needs only numpy, and less than a second.
"""

import json

import numpy as np

HIDDEN, LAYERS, FEED_FORWARD, HEADS, VOCABULARY = 64, 2, 128, 4, 512
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "intermediate_size": FEED_FORWARD,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "head_dim": HIDDEN // HEADS,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "bos_token_id": 256,
    "eos_token_id": 257,
}
CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def write_tiny_llama(folder):
    """Write the model into ``folder``, which is made; return the folder."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    names = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": CHAT}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}))
    (folder / "model.safetensors").write_bytes(safetensors(weights()))
    return folder


def weights():
    """Return every tensor of the model by name: small random numbers, and norms of one."""
    random = np.random.default_rng(0)
    shapes = {"model.embed_tokens": (VOCABULARY, HIDDEN), "lm_head": (VOCABULARY, HIDDEN), "model.norm": (HIDDEN,)}
    for layer in range(LAYERS):
        inside = f"model.layers.{layer}"
        shapes |= {f"{inside}.self_attn.{name}_proj": (HIDDEN, HIDDEN) for name in "qkvo"}
        shapes |= {f"{inside}.mlp.{name}_proj": (FEED_FORWARD, HIDDEN) for name in ("gate", "up")}
        shapes |= {f"{inside}.mlp.down_proj": (HIDDEN, FEED_FORWARD)}
        shapes |= {f"{inside}.{name}_layernorm": (HIDDEN,) for name in ("input", "post_attention")}
    return {
        f"{name}.weight": (random.standard_normal(shape) * 0.05 if len(shape) > 1 else np.ones(shape)).astype("<f2")
        for name, shape in shapes.items()
    }


def safetensors(tensors):
    """Return the tensors as one file: the length of a JSON header, the header, the bytes."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F16", "shape": tensor.shape, "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(tensor.tobytes() for tensor in tensors.values())


def tokenizer():
    """Return a tokenizer with one token a byte, in the letters of byte-level BPE; it never uses the rest of the vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = printable + [256 + place for place in range(256 - len(printable))]
    tokens = [chr(letter) for letter in letters] + ["<s>", "</s>"]
    tokens += [f"<unused{place}>" for place in range(VOCABULARY - len(tokens))]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": place, "content": tokens[place], **special} for place in (256, 257)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: place for place, token in enumerate(tokens)},
            "merges": [],
        },
    }
