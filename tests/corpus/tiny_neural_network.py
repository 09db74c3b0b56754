# A network with one hidden layer learns XOR.
import math
import random

dice = random.Random(1)
hidden = [[dice.uniform(-1, 1) for _ in range(3)] for _ in range(3)]
output = [dice.uniform(-1, 1) for _ in range(4)]
cases = [((0, 0), 0), ((0, 1), 1), ((1, 0), 1), ((1, 1), 0)]

def sigmoid(x):
    return 1 / (1 + math.exp(-x))

def forward(inputs):
    middle = [sigmoid(w[0] * inputs[0] + w[1] * inputs[1] + w[2]) for w in hidden]
    return middle, sigmoid(sum(w * m for w, m in zip(output, middle)) + output[3])

for epoch in range(6000):
    for inputs, target in cases:
        middle, out = forward(inputs)
        slope = (out - target) * out * (1 - out)
        for j, m in enumerate(middle):
            inner = slope * output[j] * m * (1 - m)
            output[j] -= slope * m
            for k, value in enumerate((*inputs, 1)):
                hidden[j][k] -= inner * value
        output[3] -= slope
for inputs, target in cases:
    print(inputs, target, round(forward(inputs)[1]))
