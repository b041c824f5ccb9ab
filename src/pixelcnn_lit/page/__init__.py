"""The page of ``demo`` in a browser: a file a tab, and what the tabs ask for."""
