/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/status.h"
#include "tests/unit/gatewayapi_status.h"
#include "tests/unit/json_tree.h"

/* The status of GatewayClasses. */

#define CLASS OBJECT("GatewayClass", "headgate", "controllerName: headgate.dev/gateway")

/* The words of the condition of the class, or "" without one. */
static void version_is(const struct config_case *c, const char *version, const char *expected)
{
	struct span text = version ? span_str(version) : SPAN("");
	struct status_host host = { .bundle_version = version ? &text : NULL };
	const struct json_value *one;
	struct json_value *root;
	struct text out, found;

	text_init(&out);
	text_init(&found);
	status_write(c->snapshot, &host, &out);
	root = json_parse(text_span(&out));
	one = json_first(
		json_member(json_member(json_first(json_member(root, "items")), "status"), "conditions"));
	for (; one; one = json_next(one))
		if (strcmp(json_member_text(one, "type"), "SupportedVersion") == 0)
			text_fmt(&found, "%s %s %s", json_member_text(one, "status"),
				 json_member_text(one, "reason"), json_member_text(one, "message"));
	if (!span_starts(text_span(&found), span_str(expected)) || !found.len != !*expected)
		fail_msg("%s: \"%.*s\"", version, SPAN_FMT(text_span(&found)));
	json_free(root);
	text_done(&found);
	text_done(&out);
}

TEST(a_class_says_whether_the_version_of_the_definitions_is_known)
{
	struct config_case c;

	config_case_text(&c, CLASS);
	version_is(&c, NULL, "");
	version_is(&c, "v1.0.0", "True SupportedVersion");
	version_is(&c, "v1.6.3", "True SupportedVersion");
	version_is(&c, "v1.7.0-rc.1", "True SupportedVersion");
	version_is(
		&c, "v1.8.0",
		"False UnsupportedVersion the definitions of Gateway API are of version v1.8.0; this gateway "
		"knows v1.0 to v1.7");
	version_is(&c, "v2.0.0", "False UnsupportedVersion");
	version_is(&c, "v0.8.1", "False UnsupportedVersion");
	version_is(&c, "v1", "False UnsupportedVersion");
	version_is(&c, "v1.x", "False UnsupportedVersion");
	version_is(&c, "", "False UnsupportedVersion the definitions of Gateway API have no annotation");
	config_case_done(&c);
}

/* Gateway API: `supportedFeatures` is sorted, and has at most 64 entries; no names of Mesh. */
TEST(a_class_says_what_it_supports)
{
	const struct json_value *one;
	struct json_value *root;
	struct config_case c;
	const char *last = "";
	struct text out;
	int count = 0;

	config_case_text(&c, CLASS);
	text_init(&out);
	status_write(c.snapshot, &(struct status_host){ 0 }, &out);
	root = json_parse(text_span(&out));
	one = json_first(json_member(json_member(json_first(json_member(root, "items")), "status"),
				     "supportedFeatures"));
	for (; one; one = json_next(one), count++) {
		const char *name = json_member_text(one, "name");

		assert_true(strcmp(last, name) < 0);
		assert_null(strstr(name, "Mesh"));
		last = name;
	}
	assert_in_range(count, 40, 64);
	json_free(root);
	text_done(&out);
	config_case_done(&c);
}

TEST_GROUP(NULL, NULL);
