# Bit tricks: counting, Gray codes, subsets, a bloom filter.
def gray(n):
    return n ^ (n >> 1)

print([f"{gray(n):03b}" for n in range(8)])
items = ["a", "b", "c"]
print([[item for i, item in enumerate(items) if mask >> i & 1] for mask in range(1 << len(items))])
print((255).bit_count(), (1 << 70).bit_length(), ~5, -7 >> 1, -7 // 2, -7 % 3, 0b1010 & 0b0110, 0xF0 | 0x0F)

class Bloom:
    def __init__(self, bits):
        self.bits, self.field = bits, 0

    def _spots(self, text):
        value = 5381
        for byte in text.encode():
            value = value * 33 % (1 << 32) ^ byte
        return value % self.bits, value // self.bits % self.bits

    def add(self, text):
        for spot in self._spots(text):
            self.field |= 1 << spot

    def __contains__(self, text):
        return all(self.field >> spot & 1 for spot in self._spots(text))

bloom = Bloom(64)
for word in ("apple", "pear", "plum"):
    bloom.add(word)
print([word in bloom for word in ("apple", "pear", "plum", "zebra")], f"{bloom.field:016x}")
