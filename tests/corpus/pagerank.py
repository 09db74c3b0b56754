# Ranks pages by their links.
links = {"home": ["about", "shop", "blog"], "about": ["home"], "shop": ["home", "cart"], "cart": ["shop"], "blog": ["home", "shop", "about"], "lost": ["home"]}
n, damping = len(links), 0.85
rank = dict.fromkeys(links, 1 / n)
for turn in range(1, 101):
    new = {page: (1 - damping) / n for page in links}
    for page, targets in links.items():
        for target in targets:
            new[target] += damping * rank[page] / len(targets)
    change = sum(abs(new[page] - rank[page]) for page in links)
    rank = new
    if change < 1e-9:
        break
print("turns", turn, "sum", round(sum(rank.values()), 6))
for page, value in sorted(rank.items(), key=lambda item: -item[1]):
    print(f"{page:6}{value:.4f} {'*' * round(value * 100)}")
