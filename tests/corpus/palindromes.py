# The longest palindrome of a text, and palindromic numbers.
def longest(text):
    best = ""
    for middle in range(len(text)):
        for low, high in ((middle, middle), (middle, middle + 1)):
            while low >= 0 and high < len(text) and text[low] == text[high]:
                low, high = low - 1, high + 1
            best = max(best, text[low + 1 : high], key=len)
    return best

for text in ("forgeeksskeegfor", "abacdfgdcaba", "banana", ""):
    print(repr(text), repr(longest(text)))
print(max(p for a in range(90, 100) for b in range(a, 100) if str(p := a * b) == str(p)[::-1]))
