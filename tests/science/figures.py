import io

import matplotlib
import matplotlib.pyplot as plt
import seaborn
import statsmodels.api as sm
import sympy
from PIL import Image

figure, (left, right) = plt.subplots(1, 2)
left.bar(["a", "b"], [1, 2])
seaborn.lineplot(x=[1, 2, 3], y=[2, 1, 3], ax=right)
figure.suptitle("two of them")
content = io.BytesIO()
figure.savefig(content, format="png", dpi=50)
image = Image.open(io.BytesIO(content.getvalue()))
print(image.format, image.size)
figure.savefig("/tmp/figure.svg")
print(open("/tmp/figure.svg").read(5))
print(matplotlib.font_manager.FontProperties().get_name())
print(sympy.integrate(sympy.Symbol("x") ** 2))
print(sm.OLS([1.0, 3.0, 5.0], sm.add_constant([0.0, 1.0, 2.0])).fit().params.round(6))
