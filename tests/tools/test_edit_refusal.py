"""What a refused edit says: what the file has there, and in what that differs."""

import pytest
from tests.tools.conftest import MakeContext

from beyond_ai import ToolLimits
from beyond_ai_tools.coding.document import Document
from beyond_ai_tools.coding.edit import EditArguments, edit
from beyond_ai_tools.coding.refusal import not_found

SOURCE = """\
class Stack:
\tdef push(self, item):
\t\tself.items.append(item)

    def pop(self):
        return self.items.pop()  # \u201clast\u201d

    def size(self):
        return len(self.items)
"""


@pytest.mark.parametrize(
    ("wanted", "said", "shown"),
    [
        (
            "    def push(self, item):\n        self.items.append(item)\n",
            "At line 2 the indentation differs: the file has 1 tab, old_string 4 spaces.",
            "     2\t\tdef push(self, item):\n     3\t\t\tself.items.append(item)",
        ),
        (
            "  def pop(self):\n    return self.items.pop()",
            "At line 6 the indentation differs: the file has 8 spaces, old_string 4 spaces.",
            "     5\t    def pop(self):",
        ),
        (
            "def pop(self):\n\treturn self.items.pop()",
            "At line 6 the indentation differs: the file has 8 spaces, old_string 1 tab.",
            "     5\t    def pop(self):\n     6\t        return self.items.pop()",
        ),
        (
            "def pop(self):\nreturn self.items.pop()",
            "At line 6 the indentation differs: the file has 8 spaces, old_string none.",
            "     5\t    def pop(self):",
        ),
        (
            "    Def Pop(self):",
            "At line 5 upper and lower case differ: the file has `def pop(self):`, old_string `Def Pop(self):`.",
            "     5\t    def pop(self):",
        ),
        (
            "    def  pop( self):",
            "At line 5 the blanks between words differ.",
            "     5\t    def pop(self):",
        ),
        (
            "    def pop(self):\n        return self.items.pop(0)\n",
            "`return self.items.pop()  # \u201clast\u201d`, old_string has `return self.items.pop(0)`.",
            "     5\t    def pop(self):\n     6\t        return self.items.pop()",
        ),
        (
            '    def pop(self):\n        return self.items.pop()  # "last"\n    def size(self):\n',
            "At line 6 the file has U+201C (left double quotation mark) where old_string has U+0022 (quotation mark).",
            "     5\t    def pop(self):\n     6\t        return",
        ),
        (
            "    def size(self):\n        return len(self.items)\n\n    def more(self):\n",
            "The file ends at line 9, before the end of old_string.",
            "     8\t    def size(self):\n     9\t",
        ),
        (
            "self.items.append(item)\n    def pop(self):",
            "At line 4 the file has an empty line, old_string has `    def pop(self):`.",
            "     3\t\t\tself.items.append(item)\n     4\t",
        ),
        (
            "    def size(self):\n\n\n        return self\n",
            "At line 9 old_string has an empty line, the file has `        return len(self.items)`.",
            "     8\t    def size(self):",
        ),
        (
            "        return len(self.itmes)\n",
            "At line 9 the file has `return len(self.items)`, old_string has `return len(self.itmes)`.",
            "     9\t        return len(self.items)",
        ),
        ("completely different words", "Nothing in it comes near: read the file again.", ""),
        ("     5\t    def pop(self):", "leave out each line's number and tab", ""),
        ("class Stack:\\n\\tdef push", "if it were not escaped twice", ""),
        ("  \n \t\n  ", "Nothing in it comes near", ""),
    ],
)
def test_the_nearest_region_and_the_first_difference(wanted: str, said: str, shown: str) -> None:
    message = not_found(Document(SOURCE.encode()), wanted, "")
    assert message.startswith("old_string is not in the file. ")
    assert said in message
    if shown:
        assert f"The nearest lines are:\n{shown}" in message


def test_an_edit_that_is_in_already_is_said_so() -> None:
    message = not_found(Document(SOURCE.encode()), "    def length(self):\n", "    def size(self):\n")
    assert "new_string is there already, at line 8: this edit may have been made before." in message
    message = not_found(Document(b"alpha\nomega\n"), "zzzzz\nqqqqq\n", "alpha\nomega\n")
    assert message.endswith("The nearest lines are:\n     1\talpha\n     2\tomega")


def test_a_short_new_text_is_not_taken_for_an_edit_made() -> None:
    assert "already" not in not_found(Document(SOURCE.encode()), "xyzzy", "pop")
    assert "already" not in not_found(Document(SOURCE.encode()), "xyzzy", "")


def test_line_ends_of_cr_alone_are_named() -> None:
    assert "in CR alone" in not_found(Document(b"a = 1\rb = 2\r"), "a = 1\nb = 2", "")


def test_of_a_long_region_only_the_start_is_shown() -> None:
    text = "".join(f"line number {number}\n" for number in range(100))
    message = not_found(Document(text.encode()), text.replace("number 50", "nummer 50"), "")
    assert "At line 51 the file has `line number 50`, old_string has `line nummer 50`." in message
    assert message.endswith("... and 80 more lines")


def test_long_lines_are_cut() -> None:
    message = not_found(Document(b"x" * 100_000 + b"y\n"), "x" * 100_000 + "z", "")
    assert len(message) < 1_000


async def test_a_refusal_is_within_the_limits(make_context: MakeContext) -> None:
    context = make_context(limits=ToolLimits(bytes=500))
    (context.cwd / "f").write_text(SOURCE)
    edits = [{"old_string": f"def pup{number}(self)", "new_string": "x"} for number in range(50)]
    with pytest.raises(Exception, match=r"^f was not changed\.") as caught:
        await edit(EditArguments(path="f", edits=edits), context)
    assert len(str(caught.value)) <= 500


def test_a_large_file_takes_no_minute() -> None:
    text = "".join(f"value_{number} = compute({number})\n" for number in range(100_000))
    assert "nearest lines" in not_found(Document(text.encode()), "value_99999 = compute(0)\nvalue = 7\n", "")
