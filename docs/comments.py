"""For the reference: the comment behind a field, where the package writes shapes and units, is its docstring."""

import re

import griffe

COMMENT = re.compile(r"^[^#\"']*\s#\s(.+)$")


class Comments(griffe.Extension):
    """Takes the comments of fields; leaves out special methods, and fields that the text of their class describes."""

    def on_class_members(self, *, cls, **_):
        """Looks at the members of one class."""
        described = cls.docstring and "Attributes:" in cls.docstring.value
        for member in cls.members.values():
            if member.name.startswith("__") or (member.is_attribute and described and not member.docstring):
                member.public = False
            elif member.is_attribute and not member.docstring and (found := COMMENT.match(member.source)):
                member.docstring = griffe.Docstring(found[1], parent=member)
