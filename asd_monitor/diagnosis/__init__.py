"""The diagnosis of an installation: facts are collected, and checks make findings of them."""
