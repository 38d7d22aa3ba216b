"""SVG pictures: well formed, legible, honest about origins, harmless whatever stands in them."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from tests.view.made_up import HOSTILE, measurement, plans

from seatrial.view.chart.chart import Chart
from seatrial.view.chart.data import LOOKS, Reference, Series, Span
from seatrial.view.chart.svg import to_svg
from seatrial.view.chart.svg_shapes import FONT, STYLE
from seatrial.view.plots.fits import fit_chart
from seatrial.view.plots.gpu_memory import gpu_memory_chart
from seatrial.view.plots.measurements import memory_over_time_chart, throughput_chart, tokens_chart, ttft_chart
from seatrial.view.plots.plan_memory import memory_chart

NAMESPACE = "{http://www.w3.org/2000/svg}"
ALLOWED = {
    "svg",
    "title",
    "desc",
    "style",
    "defs",
    "pattern",
    "path",
    "g",
    "rect",
    "line",
    "polyline",
    "polygon",
    "text",
}

ORIGINS = Chart(
    "Four origins",
    "Streams",
    "Speed (tok/s)",
    tuple(Series(origin, (1.0, 2.0), (1.0 + place, 2.0), origin) for place, origin in enumerate(LOOKS)),
)
HOSTILE_CHART = Chart(
    HOSTILE,
    HOSTILE,
    HOSTILE,
    (Series(HOSTILE, (1.0, 2.0), (1.0, 2.0), "measured"),),
    subtitle=HOSTILE,
    references=(Reference(HOSTILE, 1.5),),
    spans=(Span(HOSTILE, 1.0, 2.0),),
)


def charts():
    """Return charts of each kind, and odd ones."""
    made = measurement()
    return [
        throughput_chart(made),
        throughput_chart({"one": made, "two": measurement(1.4, simulated=True)}),
        ttft_chart(made),
        tokens_chart(made),
        memory_over_time_chart(made),
        memory_chart(plans()),
        memory_chart(plans("cpu")),
        *(gpu_memory_chart(plan) for plan in (*plans("h200x8"), *plans("cpu"), *plans("rtx4090x2"))),
        fit_chart("h200x8", "pro", concurrency=16),
        fit_chart("rtx4090x2"),
        ORIGINS,
        HOSTILE_CHART,
        Chart("Nothing", "x", "y", (Series("a", (), (), "measured"),)),
        Chart("One point", "x", "y", (Series("a", (3.0,), (5.0,), "measured", low=(4.0,), high=(6.0,)),)),
        Chart("Logarithms", "x", "y", (Series("a", (1.0, 1e6), (1e-3, 1e9), "measured"),), log_x=True, log_y=True),
        replace(ORIGINS, title="A finding that goes on " * 20, subtitle="conditions " * 60),
    ]


@pytest.mark.parametrize("chart", charts(), ids=lambda chart: chart.title[:30].strip())
def test_a_picture_is_well_formed_described_and_needs_nothing_else(chart):
    """XML of known elements only, with role, title and description; no script, link, image or address."""
    text = to_svg(chart)
    root = ET.fromstring(text)  # noqa: S314 -- written here
    assert {element.tag.removeprefix(NAMESPACE) for element in root.iter()} <= ALLOWED
    assert "img" == root.get("role")
    names = root.get("aria-labelledby").split()
    assert ["title", "desc"] == [root.find(f"*[@id='{name}']").tag.removeprefix(NAMESPACE) for name in names]
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith("on") or "href" in name or name == "style"]
    assert not re.search(r"url\((?!#)", text)


def test_hostile_text_stays_text():
    """Markup is escaped, and what cannot be seen is gone."""
    text = to_svg(HOSTILE_CHART)
    assert "<script" not in text
    assert not set("\x1b\u202e\u202c\x07") & set(text)
    assert "&lt;script&gt;" in text


def test_every_origin_has_its_own_dash_and_marker():
    """Prediction, measurement, simulation and a vendor's figure cannot be taken for one another without colour."""
    root = ET.fromstring(to_svg(ORIGINS))  # noqa: S314
    lines = [line.get("stroke-dasharray", "solid") for line in root.iter(f"{NAMESPACE}polyline")]
    assert len(LOOKS) == len(set(lines))
    markers = {
        tuple(path.get("class") for path in group.iter(f"{NAMESPACE}path")) for group in root.iter(f"{NAMESPACE}g")
    }
    kinds = {tuple(sorted(set(names))) for names in markers if names}
    assert len(LOOKS) == len(kinds)


def test_text_is_large_enough_for_a_classroom():
    """No font below 13 pixels at 640 by 360."""
    sizes = [int(size) for size in re.findall(r"font-size:(\d+)px", STYLE)]
    assert min(sizes) >= 13
    assert 13 == FONT


def test_the_same_chart_gives_the_same_picture():
    """So that a kept output can be compared."""
    assert to_svg(throughput_chart(measurement())) == to_svg(throughput_chart(measurement()))


def test_two_pictures_on_a_page_share_no_name():
    """Each has ids of its own."""
    one, two = (re.findall(r' id="([^"]+)"', to_svg(chart)) for chart in charts()[5:7])
    assert not set(one) & set(two)


def test_a_long_run_keeps_its_peak_in_a_small_picture():
    """Of 50,000 samples few are drawn, the highest among them."""
    values = [1.0] * 50_000
    values[31_234] = 99.0
    series = Series("a", tuple(map(float, range(50_000))), tuple(values), "measured")
    text = to_svg(Chart("Peak", "Time (s)", "Speed (tok/s)", (series,)))
    points = re.search(r'<polyline points="([^"]+)" class="st-line"', text).group(1).split()
    heights = [float(point.split(",")[1]) for point in points]
    assert len(points) <= 1200
    assert max(heights) - min(heights) > 100


@pytest.mark.browser
def test_all_text_lies_inside_the_picture(open_page):
    """In a real browser no text runs over an edge, whatever its length."""
    page = open_page("".join(f"<div>{to_svg(chart)}</div>" for chart in charts()))
    outside = page.evaluate("""() => [...document.querySelectorAll('svg')].flatMap(svg => {
        const frame = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].filter(text => {
            const box = text.getBoundingClientRect();
            return box.left < frame.left - 1 || box.right > frame.right + 1
                || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
        }).map(text => svg.querySelector('title').textContent.slice(0, 40) + ': ' + text.textContent);
    })""")
    assert [] == outside
    assert [] == page.noted


@pytest.mark.browser
@pytest.mark.parametrize("concurrency", [1, 16, 64])
@pytest.mark.parametrize("machine", ["h200x4", "h200x8", "b200x8", "m3-ultra-512gb"])
def test_no_name_of_a_limit_touches_a_ring(open_page, machine, concurrency):
    """In a real browser, with a crowd whose largest context ends just below the limit."""
    page = open_page(to_svg(fit_chart(machine, concurrency=concurrency)))
    touching = page.evaluate("""() => [...document.querySelectorAll('.st-ring')].flatMap(ring => {
        const round = ring.getBoundingClientRect();
        return [...document.querySelectorAll('text.st-halo')].map(text => [text, text.getBoundingClientRect()])
            .filter(([, box]) => box.left < round.right && round.left < box.right
                && box.top + 3 < round.bottom && round.top < box.bottom - 3).map(([text]) => text.textContent);
    })""")
    assert [] == touching


def test_where_labels_crowd_the_last_value_keeps_its_own():
    """A chart whose point is a million tokens of context says so below its last point."""
    chart = fit_chart("h200x4")
    drawn = to_svg(chart)
    assert ">1,048,576</text>" in drawn
    assert ">262,144</text>" in drawn
