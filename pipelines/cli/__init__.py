"""The command ``suanli``: one file a command."""
