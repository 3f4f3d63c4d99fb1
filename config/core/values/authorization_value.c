/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/authorization_value.h"

#include <errno.h>

#include "policy/expression/expression.h"

enum { RULES_MAX = 256 }; /* of one policy, as in the CRD */

static bool decode_condition(struct decoder *d, const struct yaml_node *node, struct span *ret_text,
			     struct expression *ret)
{
	char error[EXPRESSION_ERROR_BYTES];
	int result;

	if (!decode_name(d, node, ret_text))
		return false;
	result = expression_compile(*ret_text, EXPRESSION_AT_REQUEST, d->arena, ret, error);
	if (result == -ENOMEM)
		d->failed = true;
	else if (result < 0)
		config_error(d->report, node, "the expression %s is not understood %s", QUOTE(*ret_text),
			     error);
	else if (!expression_is_condition(ret))
		config_error(d->report, node,
			     "the expression %s gives %s; write a condition, which is true or false",
			     QUOTE(*ret_text), expression_type_name(ret->type));
	return result == 0 && expression_is_condition(ret);
}

static bool rule_take(struct decoder *d, struct authorization_rule *rule, uint32_t count)
{
	rule->text_list = decode_take(d, count, sizeof(*rule->text_list));
	rule->expression_list = decode_take(d, count, sizeof(*rule->expression_list));
	return rule->text_list && rule->expression_list;
}

/* An expression alone allows. */
static bool decode_rule(struct decoder *d, const struct yaml_node *node, void *element)
{
	static const char *const effects[] = { "allow", "deny", "require" };
	static const struct decode_key keys[] = { KEY("allow"), KEY("deny"), KEY("require") };
	struct authorization_rule *rule = element;
	const struct yaml_node *condition = node;

	*rule = (struct authorization_rule){ .effect = AUTHORIZATION_ALLOW, .expression_count = 1 };
	if (node->kind == YAML_MAP) {
		condition = DECODE_MAP(d, node, keys)
				    ? decode_choice(d, node, effects, ARRAY_LEN(effects), &rule->effect)
				    : NULL;
		if (!condition)
			return false;
	}
	return rule_take(d, rule, 1) &&
	       decode_condition(d, condition, rule->text_list, rule->expression_list);
}

/* {matchExpressions: […]}: all of them. */
static bool decode_expressions(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const struct decode_key keys[] = { KEY("matchExpressions") };
	struct authorization_policy *policy = ret;
	struct authorization_rule *rule = decode_take(d, 1, sizeof(*rule));
	const struct yaml_node *list;
	bool is_valid = true;

	if (!rule || !DECODE_MAP(d, node, keys))
		return false;
	list = decode_need(d, node, "matchExpressions",
			   "write matchExpressions: ['request.method == \"GET\"']");
	if (!list || !decode_list(d, list))
		return false;
	if (list->count == 0 || list->count > RULES_MAX) {
		config_error(d->report, list, "has %u expressions; write 1 to %d", list->count, RULES_MAX);
		return false;
	}
	if (!rule_take(d, rule, list->count))
		return false;
	yaml_each(child, list) {
		uint32_t i = rule->expression_count++;

		is_valid &= decode_condition(d, child, &rule->text_list[i], &rule->expression_list[i]);
	}
	policy->rule_list = rule;
	policy->rule_count = 1;
	return is_valid;
}

static void check_authorization(struct decoder *d, const struct yaml_node *node, void *object)
{
	static const char *const actions[] = { "Allow", "Deny", "Require" };
	const struct yaml_node *action = d->is_manifest ? decode_get(node, "action") : NULL;
	const struct yaml_node *rules = decode_get(node, "rules");
	struct authorization_policy *policy = object;

	if (rules && rules->count == 0)
		config_error(d->report, rules, "is empty, so nothing would be refused; write the rules");
	for (uint32_t i = 0; i < policy->rule_count; i++)
		for (uint32_t e = 0; e < policy->rule_list[i].expression_count; e++)
			policy->needs |= policy->rule_list[i].expression_list[e].needs;
	if (action && policy->rule_count)
		DECODE_WORD(d, action, actions, &policy->rule_list[0].effect);
}

static const struct schema_row authorization_rows[] = {
	{ "rules",
	  AS_OBJECTS(struct authorization_policy, rule_list, rule_count, NULL, struct authorization_rule),
	  .element = decode_rule, RANGE(1, RULES_MAX), .style = STYLE_STANDALONE,
	  .need = "write the rules, as in rules: ['jwt.team == \"a\"']",
	  .value_doc = "list of [expressions](../docs/expressions.md), `{allow}`, `{deny}`, `{require}`",
	  .doc = "conditions: a request is refused if any `deny` holds, if any `require` does not, or if "
		 "there are rules to `allow` and none of them holds; an expression alone allows. The rules "
		 "of all levels count" },
	/* check_authorization() reads it. */
	{ "action", AS_REST(struct authorization_policy), .style = STYLE_MANIFEST },
	{ "policy", AS_REST(struct authorization_policy), .decode = decode_expressions,
	  .style = STYLE_MANIFEST, .need = "write policy: {matchExpressions: [...]}" },
};
const struct schema authorization_schema =
	SCHEMA(authorization_rows, struct authorization_policy, .check = check_authorization);
