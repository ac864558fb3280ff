"""Pictures of the page in the browser, of a real daemon."""
