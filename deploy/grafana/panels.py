"""How a panel and a dashboard look in Grafana's JSON.

A dashboard is a list of rows; a row is a title and its panels, which share the width. Every
query names the datasource variable, so that the JSON works wherever it is imported.
"""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 24, 8


def query(expr, legend):
    return {"datasource": SOURCE, "expr": expr, "legendFormat": legend}


def panel(title, about, queries, unit="short", kind="timeseries", limit=None, stack=False, top=None):
    """One panel. `limit` is the line that the value should stay above, or below where it begins
    with `<`; `top` is the most that the axis shows."""
    custom = {"fillOpacity": 10, "showPoints": "never", "lineWidth": 2}
    if stack:
        custom |= {"stacking": {"mode": "normal"}, "fillOpacity": 40, "lineWidth": 1}
    defaults = {"unit": unit, "custom": custom, "min": 0}
    if top is not None:
        defaults["max"] = top
    if limit is not None:
        colours = ("green", "red") if str(limit).startswith("<") else ("red", "green")
        value = float(str(limit).lstrip("<"))
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": colours[0], "value": None}, {"color": colours[1], "value": value}],
        }
        custom["thresholdsStyle"] = {"mode": "line"}
    if kind == "stat":
        defaults.pop("custom")
    options = {
        "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"},
        "table": {"showHeader": True},
    }[kind]
    targets = [
        query(expr, legend) | {"refId": chr(ord("A") + at)}
        | ({"instant": True, "format": "table"} if kind == "table" else {})
        for at, (expr, legend) in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


def dashboard(uid, title, about, rows, variables):
    panels, y = [], 0
    for name, members in rows:
        panels.append(place({"type": "row", "title": name, "collapsed": False, "panels": []}, 0, y, WIDTH, 1))
        y += 1
        height = 4 if all(member["type"] == "stat" for member in members) else HEIGHT
        width = WIDTH // len(members)
        for at, member in enumerate(members):
            panels.append(place(member, at * width, y, width, height))
        y += height
    for number, member in enumerate(panels, start=1):
        member["id"] = number
    datasource = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["cacheaside"],
        "schemaVersion": 42,
        "version": 1,
        "editable": True,
        "timezone": "",
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [datasource, *variables]},
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "tags": ["cacheaside"], "asDropdown": True, "title": "cacheaside"}],
        "panels": panels,
    }


def place(member, x, y, width, height):
    return member | {"gridPos": {"x": x, "y": y, "w": width, "h": height}}


def variable(name, label, series, many=True):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({series}, {name})", "refId": "variable"},
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        **({"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if many else {}),
    }
