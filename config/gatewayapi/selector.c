/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/object.h"
#include "user/base/check.h"
#include "user/base/limits.h"

bool manifest_is_small(struct decoder *d, const struct yaml_node *node)
{
	if (node->count <= LIMIT_CONFIG_LABELS)
		return true;
	config_error(d->report, node, "has %u entries; %d are the most", node->count, LIMIT_CONFIG_LABELS);
	return false;
}

struct span manifest_label(const struct yaml_node *labels, const char *name)
{
	const struct yaml_node *label = labels ? yaml_get(labels, span_str(name)) : NULL;

	return label && label->kind == YAML_SCALAR ? label->text : (struct span){ 0 };
}

bool manifest_select(struct decoder *d, const struct yaml_node *node, uint64_t steps)
{
	bool was_over = d->selections > LIMIT_CONFIG_SELECTIONS;

	d->selections += steps;
	if (d->selections <= LIMIT_CONFIG_SELECTIONS)
		return true;
	if (!was_over)
		config_refuse(d->report, node,
			      "the selectors of all files together look at more than %d labels and objects; "
			      "write fewer of them, or name what is meant in targetRefs",
			      LIMIT_CONFIG_SELECTIONS);
	return false;
}

struct label_owner {
	const struct yaml_node *labels;
	struct span namespace;
};

static struct span owner_label(const struct label_owner *owner, struct span name)
{
	const struct yaml_node *label = owner->labels ? yaml_get(owner->labels, name) : NULL;

	if (owner->namespace.len && span_eq(name, SPAN("kubernetes.io/metadata.name")))
		return owner->namespace;
	return label && label->kind == YAML_SCALAR ? label->text : (struct span){ 0 };
}

static bool labels_fit(struct decoder *d, const struct yaml_node *wanted, const struct label_owner *owner)
{
	uint64_t labels = 1 + (owner->labels ? owner->labels->count : 0);
	bool fits = true;

	if (!decode_any_map(d, wanted))
		return !wanted;
	if (!manifest_is_small(d, wanted) || !manifest_select(d, wanted, wanted->count * labels))
		return false;
	yaml_each(member, wanted) {
		struct span value, found = owner_label(owner, member->key);

		if (!decode_string(d, member, &value) || !found.data || !span_eq(value, found))
			fits = false;
	}
	return fits;
}

bool manifest_labels_fit(struct decoder *d, const struct yaml_node *wanted, const struct yaml_node *labels)
{
	const struct label_owner owner = { .labels = labels };

	return labels_fit(d, wanted, &owner);
}

static bool is_listed(struct decoder *d, const struct yaml_node *values, struct span value)
{
	bool found = false;

	if (!decode_list(d, values) || !manifest_is_small(d, values))
		return false;
	yaml_each(child, values) {
		struct span s;

		if (decode_string(d, child, &s))
			found |= span_eq(s, value);
	}
	return found;
}

static bool expression_fits(struct decoder *d, const struct yaml_node *node, const struct label_owner *owner)
{
	static const struct decode_key keys[] = { KEY("key"), KEY("operator"), KEY("values") };
	static const char *const operators[] = { "In", "NotIn", "Exists", "DoesNotExist" };
	const struct yaml_node *values;
	struct span key, found;
	unsigned index;

	if (!DECODE_MAP(d, node, keys) ||
	    !decode_string(d, decode_need(d, node, "key", "write the name of a label"), &key) ||
	    !DECODE_WORD(d, decode_need(d, node, "operator", "write In, NotIn, Exists or DoesNotExist"),
			 operators, &index))
		return false;
	found = owner_label(owner, key);
	if (index == 2)
		return found.data != NULL;
	if (index == 3)
		return found.data == NULL;
	values = decode_need(d, node, "values", "write the list of values");
	if (index == 0)
		return found.data && is_listed(d, values, found);
	return !found.data || !is_listed(d, values, found);
}

bool manifest_selector_fits(struct decoder *d, const struct yaml_node *selector,
			    const struct yaml_node *labels, struct span namespace)
{
	static const struct decode_key keys[] = { KEY("matchLabels"), KEY("matchExpressions") };
	const struct label_owner owner = { labels, namespace };
	const struct yaml_node *expressions;
	bool fits;

	if (!DECODE_MAP(d, selector, keys))
		return false;
	fits = labels_fit(d, decode_get(selector, "matchLabels"), &owner);
	expressions = decode_get(selector, "matchExpressions");
	if (!decode_list(d, expressions))
		return fits && !expressions;
	if (!manifest_is_small(d, expressions))
		return false;
	yaml_each(node, expressions)
		fits &= expression_fits(d, node, &owner);
	return fits;
}
