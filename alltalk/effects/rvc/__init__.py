"""Voice conversion by RVC (retrieval-based voice conversion) models of version 1 and 2."""
