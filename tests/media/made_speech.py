"""A Whisper model of the tests' own: small, of random weights but for one thing: what it says is written into it.

It is a whole WhisperForConditionalGeneration, converted by CTranslate2's own converter, so that loading, listening and
reading out the times are those of any other. Its attention and its layers add nothing; the embeddings of positions say
which word comes next, whatever it hears.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAID: Final = " coffee is served"
"""What it hears in every half minute of sound, between the seconds 0 and 2."""

_CONTROLS = ("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>")
_WORDS = (" coffee", " is", " served")


def speech_model(folder: Path) -> Path:
    """A folder with the model as faster-whisper takes it."""
    import torch
    from ctranslate2.converters import TransformersConverter
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [word.replace(" ", "Ġ") for word in _WORDS]
    vocabulary = {token: n for n, token in enumerate([*letters, *words])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", *_CONTROLS]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    ids = tokenizer.get_vocab()
    zero = len(ids)  # <|0.00|>, and 1500 more

    made = folder / "made"
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", bos_token="<|endoftext|>")
    whole.save_pretrained(made)
    config = WhisperConfig(
        vocab_size=zero + 1501,
        num_mel_bins=80,
        d_model=64,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_target_positions=64,
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|endoftext|>"],
        pad_token_id=ids["<|endoftext|>"],
        decoder_start_token_id=ids["<|startoftranscript|>"],
        suppress_tokens=[],
        begin_suppress_tokens=[ids["<|endoftext|>"]],
    )
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(config).eval()
    # One language, told by the size of its vocabulary: no language and no task are asked for after the start.
    says = [zero, *(ids[word] for word in words), zero + 100]
    says += [ids["<|endoftext|>"]] * (64 - len(says))
    with torch.no_grad():
        decoder = model.model.decoder
        for name, weights in decoder.layers.named_parameters():
            if "layer_norm" not in name:
                weights.zero_()
        torch.nn.init.normal_(decoder.embed_tokens.weight)
        decoder.embed_positions.weight.copy_(10 * decoder.embed_tokens.weight[says])
    model.save_pretrained(made)
    ready = folder / "whisper-of-the-tests"
    TransformersConverter(str(made), copy_files=["tokenizer.json"]).convert(str(ready))
    return ready


def vowels(seconds: float, rate: int = 44_100) -> NDArray[np.float32]:
    """What a detector takes for a voice: pulses of a throat through the resonances of changing vowels, in syllables."""
    time = np.arange(int(seconds * rate)) / rate
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.7 * time)
    phase = np.cumsum(pitch) / rate
    wave = np.zeros_like(time)
    mouth = np.sin(2 * np.pi * 1.7 * time)
    for harmonic in range(1, 30):
        tone = harmonic * pitch
        formants = [(600 + 200 * mouth, 90, 1.0), (1300 + 500 * mouth, 120, 0.6), (2600 + 0 * mouth, 160, 0.3)]
        loud = sum(gain / (1 + ((tone - centre) / width) ** 2) for centre, width, gain in formants)
        wave += loud * np.sin(2 * np.pi * harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time) + 0.4, 0, 1)
    return (0.3 * wave * syllables / np.abs(wave).max()).astype(np.float32)
