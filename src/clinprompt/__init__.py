"""Clinical NLP with soft prompts on one frozen language model."""

__version__ = "0.1.0"
