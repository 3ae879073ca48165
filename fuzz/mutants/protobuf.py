"""Messages of protocol buffers taken apart and put together differently, without knowing their schema.

A field with a length is taken for a message where its bytes can be read as one, so that changes reach the nodes,
attributes and tensors of an ONNX file and leave the sizes around them right.
"""

EXTREMES = [0, 1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]


def varint(data, at):
    value, shift = 0, 0
    while shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("too long")


def written(value):
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields(data):
    """[(number, wire type, value)] of a message, or None where the bytes are no message."""
    found, at = [], 0
    try:
        while at < len(data):
            tag, at = varint(data, at)
            number, wire = tag >> 3, tag & 7
            if number == 0 or number > 40:
                return None
            if wire == 0:
                value, at = varint(data, at)
            elif wire == 2:
                length, at = varint(data, at)
                value, at = data[at : at + length], at + length
            elif wire in (1, 5):
                length = 8 if wire == 1 else 4
                value, at = data[at : at + length], at + length
            else:
                return None
            if at > len(data):
                return None
            found.append((number, wire, value))
    except (IndexError, ValueError):
        return None
    return found


def put_together(found):
    out = bytearray()
    for number, wire, value in found:
        out += written(number << 3 | wire)
        if wire == 0:
            out += written(value)
        elif wire == 2:
            out += written(len(value)) + value
        else:
            out += value
    return bytes(out)


def change(data, random, depth=0):
    """The message with one field changed, most often deep inside."""
    found = fields(data)
    if not found:
        return random.choice([b"", b"x" * 300, data[: len(data) // 2], data * 2, b"\xff" * 8, b"../../secret"])
    # Weights are long and say little: rather one of the short fields.
    short = [i for i, (_, _, value) in enumerate(found) if not isinstance(value, bytes) or len(value) < 2000]
    at = random.choice(short if short and random.random() < 0.8 else range(len(found)))
    number, wire, value = found[at]
    do = random.random()
    if do < 0.08:
        found.pop(at)
    elif do < 0.14:
        found.insert(random.randrange(len(found) + 1), found[at])
    elif do < 0.17:
        other = random.randrange(len(found))
        found[at], found[other] = found[other], found[at]
    elif do < 0.19:
        found += [found[at]] * random.choice([10, 3000])
    elif do < 0.22:
        found[at] = (random.randrange(1, 21), wire, value)
    elif wire == 0:
        found[at] = (number, wire, random.choice([*EXTREMES, value + 1, value - 1, value * 2]))
    elif wire == 2 and depth < 7:
        found[at] = (number, wire, change(value, random, depth + 1))
    else:
        size = len(value)
        found[at] = (number, wire, random.choice([bytes(size), b"\xff" * size, random.randbytes(size)]))
    return put_together(found)
