"""eSpeak NG: formant synthesis of over a hundred languages, at once and on any machine."""
