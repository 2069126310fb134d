"""Texts: files, tokenizers, vocabularies, sampling and beam search."""
