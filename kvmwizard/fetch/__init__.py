"""Getting sources: downloads, signatures, tarballs and tags. Light: no pydantic."""
