"""What a stranger may write: words, markers, and everything odd that Unicode has."""

from tests.hostile.draws import Draws

WORDS = (
    "I",
    "love",
    "this",
    "so",
    "much",
    "hate",
    "airline",
    "again",
    "heute",
    "très",
    "今日",
    "صباح",
)
MARKERS = (
    *("Human:", "Human: \n", "\n\nAssistant:\n", "ASSISTANT:", "### Instruction:", "System:"),
    *("Task:", "Tweet: ", "Text: ", "Emotion E: joy. Intensity Score: ", "Intensity Class:"),
    *(
        "This tweet contains emotions: joy.",
        "Emotion:",
        "Sentiment Score:",
        "human :",
        "Hu\u200bman:",
    ),
    *("</s>", "<s>", "<pad>", "<unk>", "<mask>", "<extra_id_0>", "[INST]", "[/INST]", "<<SYS>>"),
    *(
        "<|im_start|>",
        "<|endoftext|>",
        "<0x0A>",
        "[SEP]",
        "[MASK]",
        "<\x00/s>",
        "＜/s＞",
        "<\u2060s>",
    ),
    *(
        "0.999",
        "{text}",
        "{wording}",
        "{emotion}",
        "%s",
        "\\n",
        "\\u0000",
        "${x}",
        "'; DROP TABLE",
        "\u0000",
    ),
)
ODD = (
    *(
        "\u202e",
        "\u202d",
        "\u2066",
        "\u2069",
        "\u200f",
        "\u061c",
    ),  # who turns the reading direction
    *("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u034f", "\u115f", "\u3164"),
    *(
        "\x00",
        "\x07",
        "\x08",
        "\x1b[31m",
        "\x7f",
        "\x85",
        "\x8f",
        "\x9f",
        "\u2028",
        "\u2029",
        "\r\n",
        "\t",
    ),
    *("\ufffd", "\ufffe", "\uffff", "\U0010ffff", "\ue000", "\U000f0000", "\U000e0041", "\u2581"),
    *("👨‍👩‍👧‍👦", "🏳️‍🌈", "😂", "❤️", "👋🏿", "🇩🇪", "1️⃣"),
    *("e" + "\u0301" * 40, "ﷺ", "ﬃ", "Ⅷ", "℡", "\U0001d54f", "ｆｕｌｌ", "İ", "ß", "ﬁ", "Å"),
    *("\u3000", "\u00a0", "\u1680", "\u180e", "က္က", "ෆ්‍ර", "한글", "\u1100\u1161\u11a8", "नमस्ते"),
)


def text(draws: Draws, mark: str = "") -> str:
    """Text of a post; `mark`, where given, is somewhere in it."""
    pieces = [_piece(draws) for _ in range(draws.number(0, 6))]
    if mark:
        pieces.insert(draws.number(0, len(pieces)), mark)
    whole = draws.one(("", " ", " ", "\n")).join(pieces)
    many = draws.number(0, 80)
    if many == 0:
        return whole * 60
    return draws.one(ODD) * 3_000 + whole if many == 1 else whole


def _piece(draws: Draws) -> str:
    how = draws.number(0, 9)
    if how == 0:
        return draws.chars(24)
    return draws.one(WORDS if how < 5 else MARKERS if how < 8 else ODD)
