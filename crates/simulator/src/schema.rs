//! Owns a checker for the JSON Schema keywords which the message catalogue uses (2020-12; `format` and annotations
//! are ignored, an unknown keyword is refused when the catalogue is loaded, so nothing is skipped in silence). Pure.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::Value;

/// One compiled schema.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// The schema `false`: nothing fits.
    never: bool,
    types: Vec<String>,
    properties: BTreeMap<String, Schema>,
    required: Vec<String>,
    closed: bool,
    additional: Option<Box<Schema>>,
    items: Option<Box<Schema>>,
    any_of: Vec<Schema>,
    condition: Option<Box<Condition>>,
    allowed: Option<Vec<Value>>,
    pattern: Option<Regex>,
    unique: bool,
    least: BTreeMap<Measure, f64>,
    most: BTreeMap<Measure, f64>,
}

#[derive(Debug)]
struct Condition {
    when: Schema,
    then: Schema,
    otherwise: Schema,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Measure {
    Number,
    Characters,
    Items,
    Keys,
}

impl Schema {
    /// Compiles a schema; an unknown keyword or a wrong argument is an error naming it.
    pub(crate) fn compile(source: &Value) -> Result<Self, String> {
        let mut schema = Self::default();
        if let Value::Bool(anything) = source {
            schema.never = !anything;
            return Ok(schema);
        }
        let object = source.as_object().ok_or("a schema must be an object or a boolean")?;
        for (keyword, value) in object {
            schema.keyword(keyword, value).map_err(|error| format!("{keyword}: {error}"))?;
        }
        if let Some(when) = object.get("if") {
            let branch = |name| object.get(name).map_or(Ok(Self::default()), Self::compile);
            let condition =
                Condition { when: Self::compile(when)?, then: branch("then")?, otherwise: branch("else")? };
            schema.condition = Some(Box::new(condition));
        }
        Ok(schema)
    }

    fn keyword(&mut self, keyword: &str, value: &Value) -> Result<(), String> {
        match keyword {
            "type" => self.types = strings(value),
            "required" => self.required = strings(value),
            "enum" => self.allowed = value.as_array().cloned(),
            "const" => self.allowed = Some(vec![value.clone()]),
            "uniqueItems" => self.unique = value == true,
            "items" => self.items = Some(Box::new(Self::compile(value)?)),
            "properties" => {
                for (name, schema) in value.as_object().ok_or("must be an object")? {
                    self.properties.insert(name.clone(), Self::compile(schema)?);
                }
            }
            "additionalProperties" => match value {
                Value::Bool(open) => self.closed = !open,
                schema => self.additional = Some(Box::new(Self::compile(schema)?)),
            },
            "anyOf" => {
                for schema in value.as_array().ok_or("must be an array")? {
                    self.any_of.push(Self::compile(schema)?);
                }
            }
            "pattern" => {
                let text = value.as_str().ok_or("must be a string")?;
                self.pattern = Some(Regex::new(text).map_err(|error| error.to_string())?);
            }
            "minimum" => bound(&mut self.least, Measure::Number, value)?,
            "maximum" => bound(&mut self.most, Measure::Number, value)?,
            "minLength" => bound(&mut self.least, Measure::Characters, value)?,
            "maxLength" => bound(&mut self.most, Measure::Characters, value)?,
            "minItems" => bound(&mut self.least, Measure::Items, value)?,
            "maxItems" => bound(&mut self.most, Measure::Items, value)?,
            "minProperties" => bound(&mut self.least, Measure::Keys, value)?,
            "maxProperties" => bound(&mut self.most, Measure::Keys, value)?,
            "if" | "then" | "else" => {}
            "$schema" | "$comment" | "title" | "description" | "default" | "examples" | "format" => {}
            _ => return Err("unknown keyword".to_owned()),
        }
        Ok(())
    }

    /// Adds one sentence per fault of `value` to `faults`; `path` is a dotted path for the reader.
    pub(crate) fn check(&self, value: &Value, path: &str, faults: &mut Vec<String>) {
        if self.never {
            faults.push(format!("{path}: must not be here"));
            return;
        }
        if !self.types.is_empty() && !self.types.iter().any(|name| is_type(value, name)) {
            faults.push(format!("{path}: {} instead of {}", type_name(value), self.types.join(" or ")));
            return;
        }
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(value)) {
            faults.push(format!("{path}: {value} is not allowed"));
        }
        self.check_bounds(value, path, faults);
        match value {
            Value::Object(object) => self.check_object(object, path, faults),
            Value::Array(items) => self.check_items(items, path, faults),
            Value::String(text) if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) => {
                faults.push(format!("{path}: {text:?} does not have the form asked for"));
            }
            _ => {}
        }
        if !self.any_of.is_empty() && !self.any_of.iter().any(|schema| schema.holds(value)) {
            faults.push(format!("{path}: fits none of the alternatives"));
        }
        if let Some(condition) = &self.condition {
            let branch = if condition.when.holds(value) { &condition.then } else { &condition.otherwise };
            branch.check(value, path, faults);
        }
    }

    fn holds(&self, value: &Value) -> bool {
        let mut faults = Vec::new();
        self.check(value, "", &mut faults);
        faults.is_empty()
    }

    fn check_object(&self, object: &serde_json::Map<String, Value>, path: &str, faults: &mut Vec<String>) {
        for name in &self.required {
            if !object.contains_key(name) {
                faults.push(format!("{path}: {name} is missing"));
            }
        }
        for (name, value) in object {
            let inner = format!("{path}.{name}");
            match (self.properties.get(name), &self.additional) {
                (Some(schema), _) => schema.check(value, &inner, faults),
                (None, Some(schema)) => schema.check(value, &inner, faults),
                (None, None) if self.closed => faults.push(format!("{inner}: unknown key")),
                (None, None) => {}
            }
        }
    }

    fn check_items(&self, items: &[Value], path: &str, faults: &mut Vec<String>) {
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = &self.items {
                schema.check(item, &format!("{path}[{index}]"), faults);
            }
            if self.unique && items[..index].contains(item) {
                faults.push(format!("{path}[{index}]: repeats an earlier item"));
            }
        }
    }

    fn check_bounds(&self, value: &Value, path: &str, faults: &mut Vec<String>) {
        let (measure, size) = match value {
            Value::Number(number) => (Measure::Number, number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => (Measure::Characters, text.chars().count() as f64),
            Value::Array(items) => (Measure::Items, items.len() as f64),
            Value::Object(object) => (Measure::Keys, object.len() as f64),
            Value::Null | Value::Bool(_) => return,
        };
        if let Some(least) = self.least.get(&measure).filter(|least| size < **least) {
            faults.push(format!("{path}: {size} is below {least}"));
        }
        if let Some(most) = self.most.get(&measure).filter(|most| size > **most) {
            faults.push(format!("{path}: {size} is above {most}"));
        }
    }
}

fn bound(table: &mut BTreeMap<Measure, f64>, measure: Measure, value: &Value) -> Result<(), String> {
    table.insert(measure, value.as_f64().ok_or("must be a number")?);
    Ok(())
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        // JSON Schema counts 5.0 as an integer; a device that sends it deserves to be told all the same.
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(schema: Value, value: Value) -> Vec<String> {
        let mut faults = Vec::new();
        Schema::compile(&schema).unwrap().check(&value, "p", &mut faults);
        faults
    }

    #[test]
    fn a_closed_object_names_what_is_wrong() {
        let schema = json!({"type":"object","properties":{"volume":{"type":"integer","minimum":0,"maximum":100}},
            "required":["volume"],"additionalProperties":false});
        assert!(faults(schema.clone(), json!({"volume":40})).is_empty());
        assert_eq!(faults(schema.clone(), json!({"volume":101})), ["p.volume: 101 is above 100"]);
        assert_eq!(faults(schema.clone(), json!({"volume":4.5})), ["p.volume: number instead of integer"]);
        assert_eq!(faults(schema, json!({"mute":1})), ["p: volume is missing", "p.mute: unknown key"]);
    }

    #[test]
    fn conditions_alternatives_and_patterns() {
        let schema =
            json!({"if":{"properties":{"a":{"const":true}},"required":["a"]},"then":{"required":["b"]}});
        assert_eq!(faults(schema.clone(), json!({"a":true})), ["p: b is missing"]);
        assert!(faults(schema, json!({"a":false})).is_empty());
        let either = json!({"anyOf":[{"type":"string"},{"type":"null"}]});
        assert!(faults(either.clone(), json!(null)).is_empty());
        assert_eq!(faults(either, json!(1)).len(), 1);
        assert_eq!(faults(json!({"pattern":"^cid:.+"}), json!("http")).len(), 1);
        assert_eq!(faults(json!({"uniqueItems":true}), json!([1, 2, 1])), ["p[2]: repeats an earlier item"]);
    }

    #[test]
    fn an_unknown_keyword_is_refused() {
        assert!(Schema::compile(&json!({"oneOf":[]})).is_err());
    }
}
