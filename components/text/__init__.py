"""Texts: reading, tokenizers, vocabularies, and how a language model writes."""
