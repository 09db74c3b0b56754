# Draws a bar chart as SVG.
from xml.etree import ElementTree as ET

data = [("Mon", 12), ("Tue", 30), ("Wed", 22), ("Thu", 5), ("Fri", 41)]
width, height, gap = 300, 120, 10
bar = (width - gap) / len(data) - gap
svg = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", width=str(width), height=str(height + 20))
top = max(value for _, value in data)
for index, (label, value) in enumerate(data):
    x, tall = gap + index * (bar + gap), round(value / top * height, 2)
    ET.SubElement(svg, "rect", x=f"{x:.1f}", y=f"{height - tall:.2f}", width=f"{bar:.1f}", height=f"{tall}", fill="steelblue")
    text = ET.SubElement(svg, "text", x=f"{x + bar / 2:.1f}", y=str(height + 15))
    text.text = label
ET.indent(svg)
print(ET.tostring(svg, encoding="unicode"))
