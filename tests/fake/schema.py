"""A small validator of JSON bodies against the schemas of an OpenAPI 3.0 description."""

import re

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
         "number": (int, float)}
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Description:
    def __init__(self, document):
        self.document = document

    def response_schema(self, template, status="200"):
        """The schema of the JSON body of GET `template`."""
        answers = self.document["paths"][template]["get"]["responses"]
        return self._resolve(answers[status])["content"]["application/json"]["schema"]

    def component(self, name):
        return self.document["components"]["schemas"][name]

    def problems(self, value, schema, where="$"):
        """Everything in which `value` does not fit, as a list of texts."""
        schema = self._resolve(schema)
        if value is None:
            return [] if schema.get("nullable") else [where + ": null"]
        found = self._choices(value, schema, where)
        kind = schema.get("type")
        if kind and not _is_a(value, kind):
            return found + ["%s: %s is no %s" % (where, type(value).__name__, kind)]
        if "enum" in schema and value not in schema["enum"]:
            found.append("%s: %r is not allowed" % (where, value))
        if schema.get("format") == "date-time" and not DATE_TIME.fullmatch(value):
            found.append("%s: %r is no time" % (where, value))
        if isinstance(value, list) and "items" in schema:
            for i, item in enumerate(value):
                found += self.problems(item, schema["items"], "%s[%d]" % (where, i))
        return found + (self._object(value, schema, where) if isinstance(value, dict) else [])

    def _object(self, value, schema, where):
        found = ["%s: no %s" % (where, key) for key in schema.get("required", ())
                 if key not in value]
        for key, item in value.items():
            if key in schema.get("properties", {}):
                found += self.problems(item, schema["properties"][key], where + "." + key)
        return found

    def _choices(self, value, schema, where):
        found = [p for part in schema.get("allOf", ()) for p in self.problems(value, part, where)]
        for word in ("oneOf", "anyOf"):
            tried = [self.problems(value, part, where) for part in schema.get(word, ())]
            if tried and all(tried):
                found += min(tried, key=len)
        return found

    def _resolve(self, schema):
        while "$ref" in schema:
            target = self.document
            for part in schema["$ref"].lstrip("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            schema = target
        return schema


def _is_a(value, kind):
    if kind in ("integer", "number") and isinstance(value, bool):
        return False
    return isinstance(value, TYPES[kind])
