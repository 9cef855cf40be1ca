"""The strings under a struct's fields: what generated documents say of each."""

import ast
import inspect
import textwrap

import msgspec


def field_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The strings under a struct's fields, by the fields' names in JSON."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    assert isinstance(tree, ast.ClassDef)
    encoded = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
    docs = {}
    for field, after in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            docs[encoded[field.target.id]] = inspect.cleandoc(after.value.value)
    return docs
