"""VITS: small, quick voices of coqui-tts, one speaker or a hundred in a model."""
