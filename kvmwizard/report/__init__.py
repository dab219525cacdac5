"""What a person can attach to a question: one archive, with what names people and machines taken out."""
