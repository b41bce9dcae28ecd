"""Rows of CSV and JSON: the text of each, and one clear line a mistake."""

import csv
import gzip
import json

import pytest

from tflm.config import DataConfig
from tflm.datasets.files import TextFile
from tflm.datasets.rows import texts

TEXTS = ["", "plain", 'a "quoted" one', "two\nlines\r\nor\rthree", "a,b;c\td"]
TEXTS += ["日本語 🦜 e\u0301 \u2028 עברית", "x" * 200_000]


@pytest.fixture
def rows(tmp_path):
    def read(name, content, **settings):
        path = tmp_path / name
        if isinstance(content, str):
            content = content.encode(settings.get("encoding", "utf-8"))
        path.write_bytes(content)
        config = DataConfig(**settings)
        file = TextFile("train_file", name, path, config.encoding)
        return list(texts(file, config))

    return read


def written(tmp_path, columns, **options):
    """CSV as Python's own writer makes it."""
    path = tmp_path / "written"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, **options).writerows(columns)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "delimiter", "settings"),
    [
        ("a.csv", ",", {}),
        ("a.CSV", ";", {"delimiter": ";"}),
        ("a.tsv", "\t", {}),
        ("a.tsv", "\t", {"delimiter": ";"}),
        ("a.csv.gz", ",", {}),
    ],
)
def test_csv_gives_the_column_exactly(
    tmp_path, rows, name, delimiter, settings
):
    table = [["id", "text"], *([str(n), t] for n, t in enumerate(TEXTS))]
    content = written(tmp_path, table, delimiter=delimiter)
    if name.endswith(".gz"):
        content = gzip.compress(content)
    assert rows(name, content, **settings) == TEXTS


@pytest.mark.parametrize(
    ("content", "settings", "expected"),
    [
        ("text\na\nb\n", {}, ["a", "b"]),
        ("body\na\n\n\nb", {}, ["a", "b"]),
        ('body\n""\n"b"', {}, ["", "b"]),
        ("id,text,title\n1,a,x\n2,b,y\n", {}, ["a", "b"]),
        ("id,text,title\n1,a,x\n", {"text_feature": "title"}, ["x"]),
        ("1,a,x\n2,b,y\n", {"text_feature": "1"}, ["a", "b"]),
        # A number is never a name: the first row may well hold it.
        ("1,a,x\n2,b,y\n", {"text_feature": "2"}, ["x", "y"]),
        ("\ufefftext,id\na,1\n", {}, ["a"]),
        ("text,id\ré,1\r", {"encoding": "latin-1"}, ["é"]),
        ("text\na\n", {"encoding": "utf-16"}, ["a"]),
        ("", {}, []),
        ("text,id\n", {}, []),
    ],
)
def test_csv_chooses_the_column(rows, content, settings, expected):
    assert rows("a.csv", content, **settings) == expected


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json"])
@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (lambda text: {"text": text, "id": 1}, {}),
        (lambda text: {"body": text}, {}),
        (lambda text: {"text": 0, "body": text}, {"text_feature": "body"}),
        (lambda text: text, {}),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_gives_the_texts_exactly(rows, name, make, settings, ascii_only):
    values = [make(text) for text in TEXTS]
    if name == "a.json":
        content = json.dumps(values, ensure_ascii=ascii_only, indent=1)
    else:
        lines = [json.dumps(v, ensure_ascii=ascii_only) for v in values]
        content = "\n\n".join(lines) + "\r\n \n"
    assert rows(name, content, **settings) == TEXTS


@pytest.mark.parametrize("content", ["", " \n", "[]"])
def test_json_without_rows(rows, content):
    assert rows("a.json", content) == []


RECEIVED = "Received: train_file={name}. "
NO_HEADER = ". A column's number, from 0, says that there is no header"


@pytest.mark.parametrize(
    ("name", "content", "settings", "expected"),
    [
        (
            "a.csv",
            "id,body,title\n1,a,x\n",
            {},
            "`train_file` has 3 columns, so `text_feature` must name one. "
            + RECEIVED
            + "Choose with --text_feature: id, body, title"
            + NO_HEADER,
        ),
        (
            "a.csv",
            "id,body\n1,a\n",
            {"text_feature": "bodies"},
            "`train_file` must have the column that `text_feature` names. "
            + RECEIVED
            + "unknown column 'bodies': did you mean 'body'? Valid: id, body"
            + NO_HEADER,
        ),
        (
            "a.csv",
            f"{'word ' * 50},a\nline\n",
            {"text_feature": "text"},
            "Valid: word word word word word word word wo..., a. A",
        ),
        (
            "a.tsv",
            "1\ta\n",
            {"text_feature": "2"},
            "`train_file` must have the column that `text_feature` numbers, 2."
            " Received: train_file=a.tsv. It has 2 column(s), numbered from "
            "0 to 1",
        ),
        (
            "a.csv",
            "id,text\n1,a\n\n2\n",
            {},
            "`train_file` must have the text's column in every row. "
            + RECEIVED
            + "The row at line 4 has 1 column(s), none with number 1 (from 0)",
        ),
        (
            "a.csv",
            'text\na\n"b\nc\n',
            {},
            "`train_file` must be well-formed CSV. "
            + RECEIVED
            + "Line 4: unexpected end of data. Put quotes",
        ),
        (
            "a.csv",
            'text\na\n"b"c\n',
            {},
            "Line 3: ',' expected after '\"'. Put quotes around a field that "
            "holds a quote, and double that quote",
        ),
        (
            "a.jsonl",
            '{"text": "a"}\n\n{"text": "b"\n{"text": "c"}\n',
            {},
            "`train_file` must be well-formed JSON. "
            + RECEIVED
            + "Line 3, column 13: Expecting ',' delimiter",
        ),
        (
            "a.jsonl",
            f"[{'9' * 5000}]\n",
            {},
            "Line 1: Exceeds the limit",
        ),
        (
            "a.json",
            '["a",\n"b"',
            {},
            "Line 2, column 4: Expecting ',' delimiter. Name JSON lines .jsonl",
        ),
        (
            "a.json",
            '{"text": "a"}',
            {},
            "`train_file` must hold one JSON array. "
            + RECEIVED
            + 'It holds {"text": "a"}. Name JSON lines .jsonl',
        ),
        (
            "a.jsonl",
            '{"id": 1, "body": "a"}\n',
            {},
            "`train_file` has 2 fields, so `text_feature` must name one. "
            + RECEIVED
            + "Choose with --text_feature: id, body",
        ),
        (
            "a.json",
            '[{"id": 1, "body": "a"}]',
            {"text_feature": "boby"},
            "`train_file` must have the field that `text_feature` names. "
            + RECEIVED
            + "unknown field 'boby': did you mean 'body'? Valid: id, body",
        ),
        (
            "a.jsonl",
            '{"text": "a"}\n{"texts": "b", "id": 1}\n',
            {},
            "`train_file` must have the text's field in every object. "
            + RECEIVED
            + "Line 2: unknown field 'text': did you mean 'texts'? "
            "Valid: texts, id",
        ),
        (
            "a.jsonl",
            '{"text": "a"}\n{"text": null}\n',
            {},
            "`train_file` must hold strings, or objects with a string in the "
            "text's field. " + RECEIVED + "Line 2 has null",
        ),
        ("a.json", '["a", [1, 2]]', {}, "Item 1 (from 0) has [1, 2]"),
        (
            "a.jsonl",
            '{"text": "a\\ud83e"}\n',
            {},
            "`train_file` must hold whole characters. "
            + RECEIVED
            + "U+D83E is a surrogate without its other half",
        ),
        ("a.csv", b"text\nabc\xff\n", {}, "Byte 0xff at offset 8 is not"),
        ("a.jsonl", b'"a"\n"\xe9"\n', {}, "Byte 0xe9 at offset 5 is not"),
    ],
)
def test_mistakes(rows, name, content, settings, expected):
    with pytest.raises(ValueError) as caught:
        rows(name, content, **settings)
    assert expected.replace("{name}", name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_are_read_one_by_one(tmp_path):
    # The second row is broken, and the first is there before it is met.
    path = tmp_path / "a.jsonl"
    path.write_text('"a"\n' + '"b"\n' * 100_000 + "{")
    found = texts(TextFile("train_file", "a.jsonl", path), DataConfig())
    assert next(found) == "a"
    with pytest.raises(ValueError, match="Line 100002, column 2"):
        list(found)
