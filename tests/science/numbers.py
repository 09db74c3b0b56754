import numpy as np
import pandas as pd
from lxml import etree
from scipy import integrate, optimize, stats
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression

table = pd.DataFrame({"city": ["a", "b", "a", "c"], "sales": [1.5, 2.5, 3.0, 4.0]})
print(table.groupby("city").sales.agg(["sum", "mean"]))
table.to_csv("/tmp/table.csv", index=False)
print(pd.read_csv("/tmp/table.csv").equals(table))
table.to_excel("/tmp/table.xlsx", index=False)
print(pd.read_excel("/tmp/table.xlsx").sales.sum())

print(np.linalg.solve(np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([9.0, 8.0])))
print(np.abs(np.fft.rfft(np.sin(np.linspace(0, 2 * np.pi, 64, endpoint=False) * 5))).argmax())
print(round(optimize.brentq(lambda x: x**2 - 2, 0, 2), 9), round(integrate.quad(np.exp, 0, 1)[0], 9))
print(round(stats.ttest_ind([1, 2, 3, 4], [2, 3, 4, 6]).pvalue, 6))

points = np.vstack([np.random.default_rng(7).normal(middle, 0.2, (20, 2)) for middle in (0, 3)])
print(np.bincount(KMeans(2, n_init=5, random_state=0).fit_predict(points)))
print(LinearRegression().fit([[0], [1], [2]], [1, 3, 5]).coef_.round(6))
print(etree.fromstring("<a><b x='1'/></a>").xpath("string(//b/@x)"))

try:
    np.ones(3) @ np.ones(4)
except ValueError as error:
    print(type(error).__name__)
