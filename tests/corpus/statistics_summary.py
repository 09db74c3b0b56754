# Summary statistics of measurements.
import statistics as st

values = [2.75, 1.75, 1.25, 0.25, 0.5, 1.25, 3.5, 2.0]
print("mean", st.mean(values), "median", st.median(values), "mode", st.mode(values))
print("stdev", round(st.stdev(values), 6), "pvariance", round(st.pvariance(values), 6))
print("quartiles", [round(q, 4) for q in st.quantiles(values, n=4)])
x, y = [1, 2, 3, 4, 5], [2.1, 3.9, 6.2, 7.8, 10.1]
slope, intercept = st.linear_regression(x, y)
print(f"y = {slope:.3f} x + {intercept:.3f}, r = {st.correlation(x, y):.5f}")
print(st.multimode("aabbc"), st.harmonic_mean([40, 60]), st.geometric_mean([1, 4]))
try:
    st.mean([])
except st.StatisticsError as error:
    print(error)
