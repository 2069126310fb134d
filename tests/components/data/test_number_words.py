"""Numbers and their words: said as they should be, each once, and shared out over the counts of digits."""

from collections import Counter

import pytest

from components.core.config import checked
from components.core.errors import StepError
from components.data import number_words


@pytest.mark.parametrize(
    ("number", "english", "german"),
    [
        (0, "zero", "null"),
        (1, "one", "eins"),
        (12, "twelve", "zwölf"),
        (16, "sixteen", "sechzehn"),
        (30, "thirty", "dreißig"),
        (21, "twenty-one", "einundzwanzig"),
        (100, "one hundred", "einhundert"),
        (101, "one hundred and one", "einhunderteins"),
        (1001, "one thousand and one", "eintausendeins"),
        (1234, "one thousand two hundred and thirty-four", "eintausendzweihundertvierunddreißig"),
        (21_000, "twenty-one thousand", "einundzwanzigtausend"),
        (101_000, "one hundred and one thousand", "einhunderteintausend"),
        (700_017, "seven hundred thousand and seventeen", "siebenhunderttausendsiebzehn"),
        (1_000_000, "one million", "eine Million"),
        (2_000_001, "two million and one", "zwei Millionen eins"),
        (21_000_300, "twenty-one million three hundred", "einundzwanzig Millionen dreihundert"),
    ],
)
def test_a_number_is_said_as_people_say_it(number: int, english: str, german: str) -> None:
    assert number_words.words(number, "en") == english
    assert number_words.words(number, "de") == german


@pytest.mark.parametrize("language", ["en", "de"])
def test_different_numbers_have_different_words(language: str) -> None:
    numbers = [*range(12_000), *range(12_000, 1_000_000, 997), *range(1_000_000, number_words.LARGEST, 9_999_991)]
    assert len({number_words.words(number, language) for number in numbers}) == len(numbers)


def test_numbers_come_once_and_all_counts_of_digits_as_often_as_they_can() -> None:
    numbers = number_words.sample(999_999, 20_000, seed=0)
    assert len(set(numbers)) == len(numbers) == 20_000
    lengths = Counter(len(str(number)) for number in numbers)
    assert [lengths[digits] for digits in (1, 2, 3)] == [10, 90, 900]
    assert max(lengths.values()) - lengths[4] <= 1
    assert numbers == number_words.sample(999_999, 20_000, seed=0)
    assert numbers != number_words.sample(999_999, 20_000, seed=1)


@pytest.mark.parametrize("largest", [9, 10, 137, 4000])
def test_all_numbers_may_be_asked_for(largest: int) -> None:
    assert sorted(number_words.sample(largest, largest + 1, seed=0)) == list(range(largest + 1))


def test_the_source_gives_what_it_promised() -> None:
    settings = number_words.Settings(pairs=50, largest=999, language="de")
    source = number_words.source(settings)
    examples = list(source.splits["train"]())
    assert len(examples) == source.counts["train"] == number_words.facts(settings).counts["train"] == 50
    assert all(one["target"].decode() == number_words.words(int(one["source"]), "de") for one in examples)
    assert list(source.splits["train"]()) == examples


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pairs": 1001, "largest": 999}, "there are 1000 numbers from 0 to 999, not 1001"),
        ({"largest": 10**12}, "data.largest"),
        ({"language": "fr"}, "data.language"),
    ],
    ids=str,
)
def test_impossible_settings_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(StepError, match=said):
        checked("data", number_words.Settings, values)
