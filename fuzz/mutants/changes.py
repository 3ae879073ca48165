"""How a mutant differs from the file it was made of.

Every change is a function of the bytes and a random number generator, so a mutant is made again from its number. Some
changes know nothing of the format; others look for the sizes of boxes, chunks and elements and put extremes there.
"""

EXTREMES = [0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]


def some_range(data, random, share=0.3):
    """Begin and end of a part of the data, rather small than large."""
    length = max(1, int(len(data) * share * random.random() ** 3))
    begin = random.randrange(max(1, len(data) - length + 1))
    return begin, begin + length


def truncate(data, random, _other):
    return data[: random.randrange(1, max(2, len(data)))]


def truncate_a_little(data, random, _other):
    return data[: max(1, len(data) - random.randrange(1, 2000))]


def cut_the_beginning(data, random, _other):
    return data[random.randrange(1, max(2, len(data) // 3)) :]


def zero(data, random, _other):
    begin, end = some_range(data, random)
    return data[:begin] + bytes(min(end, len(data)) - begin) + data[end:]


def random_bytes(data, random, _other):
    begin, end = some_range(data, random, 0.05)
    return data[:begin] + random.randbytes(min(end, len(data)) - begin) + data[end:]


def flip_bits(data, random, _other):
    data = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 5, 20, 100])):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(data)


def delete(data, random, _other):
    begin, end = some_range(data, random)
    return data[:begin] + data[end:]


def duplicate(data, random, _other):
    begin, end = some_range(data, random)
    return data[:end] + data[begin:end] + data[end:]


def swap(data, random, _other):
    points = sorted(random.randrange(len(data) + 1) for _ in range(4))
    a, b, c, d = points
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def splice(data, random, other):
    """The beginning of one file and the end of another."""
    return data[: random.randrange(1, len(data))] + other[random.randrange(len(other)) :]


def insert_other(data, random, other):
    at = random.randrange(len(data))
    begin, end = some_range(other, random)
    return data[:at] + other[begin:end] + data[at:]


def header_numbers(data, random, _other):
    """Numbers near the beginning or the end, where most formats keep their headers and indexes."""
    data = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 4])):
        size = random.choice([1, 2, 4, 4, 8])
        zone = min(len(data), random.choice([64, 512, 4096]))
        at = random.randrange(zone) if random.random() < 0.7 else len(data) - 1 - random.randrange(zone)
        number = random.choice(EXTREMES) if random.random() < 0.8 else random.getrandbits(32)
        order = random.choice(["big", "little"])
        data[at : at + size] = (number & ((1 << 8 * size) - 1)).to_bytes(size, order)[: len(data) - at]
    return bytes(data)


def is_name(four):
    return all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in four) and any(chr(byte).isalpha() for byte in four)


def sizes(data):
    """Places of numbers that look like the size of what follows: (offset, bytes, byte order, value)."""
    found = []
    for at in range(4, min(len(data) - 8, 1 << 17)):
        if not is_name(data[at : at + 4]):
            continue
        before = int.from_bytes(data[at - 4 : at], "big")
        if 8 <= before <= len(data) - at + 4:
            found.append((at - 4, 4, "big", before))
        behind = int.from_bytes(data[at + 4 : at + 8], "little")
        if 0 < behind <= len(data) - at:
            found.append((at + 4, 4, "little", behind))
    if data[:4] == b"\x1aE\xdf\xa3":
        found += matroska_sizes(data)
    return found


def matroska_sizes(data):
    """Sizes of the elements, the outer ones and those in them."""
    found, at = [], 0
    while at < len(data) - 9 and len(found) < 4000:
        width_of_id = 9 - data[at].bit_length() if data[at] else 9
        if width_of_id > 4:
            at += 1
            continue
        size_at = at + width_of_id
        width = 9 - data[size_at].bit_length() if data[size_at] else 9
        if width > 8:
            at += 1
            continue
        value = int.from_bytes(data[size_at : size_at + width], "big") & ((1 << 7 * width) - 1)
        identity = data[at:size_at]
        found.append((size_at, width, "vint", value))
        holds_others = identity in MATROSKA_MASTERS
        at = size_at + width + (0 if holds_others else value)
    return found


MATROSKA_MASTERS = [
    bytes.fromhex(text)
    for text in "1a45dfa3 18538067 114d9b74 4dbb 1549a966 1654ae6b ae e0 e1 1f43b675 a0 1c53bb6b bb b7".split()
]


def change_sizes(data, random, _other):
    places = sizes(data)
    if not places:
        return header_numbers(data, random, _other)
    data = bytearray(data)
    for at, width, order, value in random.sample(places, min(len(places), random.choice([1, 1, 1, 2, 3]))):
        new = random.choice([value + 1, value - 1, value * 2, value // 2, 0, 1, value + 8, *EXTREMES])
        if order == "vint":
            number = (max(0, new) & ((1 << 7 * width) - 1)) | 1 << 7 * width
            data[at : at + width] = number.to_bytes(width, "big")
        else:
            data[at : at + width] = (new & 0xFFFFFFFF).to_bytes(4, order)
    return bytes(data)


def change_in_box(data, random, _other):
    """A number inside a small box or chunk: tables, counts, sizes of pictures, time scales."""
    places = [place for place in sizes(data) if place[3] < 4096]
    if not places:
        return header_numbers(data, random, _other)
    at, width, _, value = random.choice(places)
    begin = at + width
    data = bytearray(data)
    for _ in range(random.choice([1, 1, 2])):
        where = begin + random.randrange(max(1, value))
        size = random.choice([1, 2, 4])
        number = random.choice(EXTREMES) & ((1 << 8 * size) - 1)
        data[where : where + size] = number.to_bytes(size, "big")[: max(0, len(data) - where)]
    return bytes(data)


BYTES = [
    truncate,
    truncate_a_little,
    cut_the_beginning,
    zero,
    random_bytes,
    flip_bits,
    delete,
    duplicate,
    swap,
    splice,
    insert_other,
    header_numbers,
    change_sizes,
    change_in_box,
]


def change(data, random, other):
    """A mutant of the bytes, and the names of what was done; never the same bytes."""
    names, original = [], data
    for _ in range(random.choice([1, 1, 1, 1, 2, 3])):
        do = random.choice(BYTES)
        if len(data) < 16:
            data += other[:64]
        data = do(data, random, other) or b"\0"
        names.append(do.__name__)
    if data == original:
        return flip_bits(data, random, other), [*names, "flip_bits"]
    return data, names
