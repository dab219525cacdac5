"""The distributions' package managers behind one small protocol."""
