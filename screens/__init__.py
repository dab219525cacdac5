"""The Textual front end: the application, its pages, and their widgets."""
