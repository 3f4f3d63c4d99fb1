/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/attach.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/guard/guard.h"

static const struct {
	enum policy_section section;
	const char *name;
} kinds[POLICY_KIND_COUNT] = {
#define POLICY_KIND(id, section, name, type) [POLICY_##id] = { section, name },
#include "config/policy_kinds.def"
#undef POLICY_KIND
};

enum policy_section policy_section_of(enum policy_kind kind)
{
	return kinds[kind].section;
}

const char *policy_kind_name(enum policy_kind kind)
{
	return kinds[kind].name;
}

/* ---- messages */

/* `rule "x" of route "ns/name"` */
static void target_text(const struct policy_target *target, struct text *out)
{
	static const char *const names[] = { "gateway", "route", "backend", "service", "ListenerSet" };
	static const char *const parts[] = { "listener", "rule", "target", "part", "listener" };

	if (target->section.len) {
		text_fmt(out, "%s \"", parts[target->kind]);
		text_escaped(out, target->section);
		text_str(out, "\" of ");
	}
	text_fmt(out, "%s \"", names[target->kind]);
	if (target->namespace.len) {
		text_escaped(out, target->namespace);
		text_char(out, '/');
	}
	text_escaped(out, target->name);
	text_char(out, '"');
	if (target->port)
		text_fmt(out, " port %u", target->port);
}

static void report_sentence(struct config_report *report, enum config_severity severity,
			    const struct targeted_policy *policy, const char *sentence)
{
	struct text line;

	text_init(&line);
	text_escaped(&line, policy->key);
	text_fmt(&line, " (%s on ", policy_kind_name(policy->value.kind));
	target_text(&policy->target, &line);
	text_fmt(&line, ") %s", sentence);
	if (text_error(&line))
		report->failed = true;
	else
		config_message_at(report, severity, policy->where, "policy %.*s", SPAN_FMT(text_span(&line)));
	text_done(&line);
}

void attachment_warn(struct config_report *report, const struct targeted_policy *policy, const char *format,
		     ...)
{
	char sentence[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	report_sentence(report, CONFIG_WARNING, policy, sentence);
}

/* which kinds may have which targets */

static bool kind_fits(enum policy_kind kind, enum target_kind target)
{
	bool is_modifier = kind == POLICY_REQUEST_HEADERS || kind == POLICY_RESPONSE_HEADERS;

	switch (kinds[kind].section) {
	case SECTION_FRONTEND:
		return target == TARGET_GATEWAY;
	case SECTION_TRAFFIC:
		return target == TARGET_GATEWAY || target == TARGET_LISTENER_SET || target == TARGET_ROUTE ||
		       is_modifier;
	case SECTION_BACKEND:
		return true;
	}
	return false;
}

/* ---- gateways */

struct gateway_name {
	struct span name;
	struct span namespace;
};

struct gateway_names {
	struct gateway_name *list; /* in the scratch arena; sorted, without duplicates */
	uint32_t count;
};

static int gateway_compare(const void *left, const void *right)
{
	const struct gateway_name *a = left, *b = right;
	int order = span_compare(a->name, b->name);

	return order ? order : span_compare(a->namespace, b->namespace);
}

static int gateways_collect(const struct snapshot *snapshot, struct arena *scratch, struct gateway_names *ret)
{
	uint32_t total = 0, count = 0;

	for (uint32_t b = 0; b < snapshot->bind_count; b++)
		total += snapshot->bind_list[b].listener_count;
	ret->list = arena_take(scratch, total * sizeof(*ret->list));
	if (!ret->list)
		return -ENOMEM;
	for (uint32_t b = 0; b < snapshot->bind_count; b++) {
		const struct bind *bind = &snapshot->bind_list[b];

		for (uint32_t l = 0; l < bind->listener_count; l++)
			ret->list[count++] =
				(struct gateway_name){ bind->listener_list[l].gateway_name,
						       bind->listener_list[l].gateway_namespace };
	}
	qsort(ret->list, count, sizeof(*ret->list), gateway_compare);
	ret->count = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (i == 0 || gateway_compare(&ret->list[i], &ret->list[ret->count - 1]) != 0)
			ret->list[ret->count++] = ret->list[i];
	}
	return 0;
}

/* Returns how many names are less than `name`, with or_equal also equal ones. */
static uint32_t gateways_below(const struct gateway_names *gateways, struct span name, bool or_equal)
{
	uint32_t low = 0, high = gateways->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (span_compare(gateways->list[middle].name, name) < (or_equal ? 1 : 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void gateway_resolve(const struct gateway_names *gateways, struct attachment *attachment,
			    struct config_report *report)
{
	struct targeted_policy *policy = attachment->policy;
	struct policy_target *target = &policy->target;
	const struct gateway_name wanted = { target->name, target->namespace };
	uint32_t start = gateways_below(gateways, target->name, false);
	uint32_t count = gateways_below(gateways, target->name, true) - start;

	if (count == 0 || bsearch(&wanted, gateways->list + start, count, sizeof(wanted), gateway_compare))
		return;
	if (count > 1) {
		attachment_warn(report, policy,
				"has no effect: that namespace has no such gateway and %u others have one; "
				"put the policy into the namespace of the gateway it is meant for",
				count);
		attachment->is_excused = true;
		return;
	}
	attachment->namespace = gateways->list[start].namespace;
	attachment->is_foreign = true;
	attachment_warn(report, policy,
			"is applied to the gateway of that name in namespace %s, the only one there is; "
			"put the policy into that namespace",
			QUOTE(attachment->namespace));
}

/* ---- building */

int attachment_compare(const struct attachment *a, const struct attachment *b)
{
	const struct targeted_policy *x = a->policy, *y = b->policy;

	if (a->is_foreign != b->is_foreign)
		return a->is_foreign ? 1 : -1;
	if (x->created_s != y->created_s)
		return x->created_s < y->created_s ? -1 : 1;
	return span_compare(x->key, y->key);
}

static int target_compare(const struct attachment *a, enum target_kind kind, struct span namespace,
			  struct span name)
{
	int order = (a->policy->target.kind > kind) - (a->policy->target.kind < kind);

	if (!order)
		order = span_compare(a->policy->target.name, name);
	return order ? order : span_compare(a->namespace, namespace);
}

static int attachment_order(const void *left, const void *right)
{
	const struct attachment *a = left, *b = right;
	int order = target_compare(a, b->policy->target.kind, b->namespace, b->policy->target.name);

	return order ? order : attachment_compare(a, b);
}

static bool guards_connections(const struct targeted_policy *policy)
{
	const struct guard_kind *guard = guard_kind_of(policy->value.kind);

	return guard && guard->phases & GUARD_PHASE_CONNECTION;
}

/* A guard without effect would let requests in. */
static void guard_check(const struct targeted_policy *policy, struct config_report *report)
{
	const struct guard_kind *guard = guard_kind_of(policy->value.kind);
	enum target_kind target = policy->target.kind;

	if (!guard)
		return;
	if (guard->phases & GUARD_PHASE_BACKEND) {
		if (target != TARGET_BACKEND && target != TARGET_SERVICE)
			report_sentence(report, CONFIG_ERROR, policy, "guards a backend: attach it to one");
		else if (policy->target.section.len || policy->is_gateway_phase)
			report_sentence(report, CONFIG_ERROR, policy,
					"guards a whole backend, after a route was chosen: leave out the "
					"section and the phase");
	} else if (guards_connections(policy) && target != TARGET_GATEWAY)
		report_sentence(report, CONFIG_ERROR, policy,
				"guards connections, which have no route yet: attach it to a gateway");
	else if (target != TARGET_GATEWAY && target != TARGET_LISTENER_SET && target != TARGET_ROUTE)
		report_sentence(report, CONFIG_ERROR, policy,
				"guards nothing: attach it to a gateway or a route");
	else if (policy->is_gateway_phase && !(guard->phases & GUARD_PHASE_GATEWAY))
		report_sentence(report, CONFIG_ERROR, policy,
				"cannot decide before a route is chosen; leave out the phase");
	else if (policy->is_gateway_phase && target == TARGET_ROUTE)
		report_sentence(
			report, CONFIG_ERROR, policy,
			"decides before a route is chosen, so it needs a gateway as its target; leave "
			"out the phase, or name a gateway");
}

static bool guards_mcp(enum policy_kind kind)
{
	return kind == POLICY_MCP_AUTHORIZATION || kind == POLICY_MCP_AUTHENTICATION;
}

/* They are for all targets of an MCP backend. */
static void mcp_rules_check(const struct targeted_policy *policy, struct config_report *report)
{
	const struct policy_target *target = &policy->target;

	if (!guards_mcp(policy->value.kind))
		return;
	if (target->kind == TARGET_SERVICE)
		report_sentence(
			report, CONFIG_ERROR, policy,
			"guards nothing at a service, whose messages the gateway does not read: attach it "
			"to an MCP backend, a route or a gateway");
	else if (target->kind == TARGET_BACKEND && target->section.len)
		report_sentence(report, CONFIG_ERROR, policy,
				"cannot guard a single target: attach it to the whole backend, and name the "
				"target in the rule (mcp.tool.target)");
}

static void attachment_prepare(const struct gateway_names *gateways, struct attachment *attachment,
			       struct config_report *report)
{
	struct targeted_policy *policy = attachment->policy;

	policy->is_attached = false;
	attachment->namespace = policy->target.namespace;
	guard_check(policy, report);
	mcp_rules_check(policy, report);
	if (!kind_fits(policy->value.kind, policy->target.kind)) {
		attachment_warn(report, policy, "has no effect: attach it to a gateway%s",
				kinds[policy->value.kind].section == SECTION_FRONTEND ? "" : " or a route");
		attachment->is_excused = true;
	} else if (policy->target.kind == TARGET_GATEWAY) {
		gateway_resolve(gateways, attachment, report);
	}
	policy->target.attach_namespace = attachment->namespace;
}

int attachments_build(struct snapshot *snapshot, struct arena *scratch, struct config_report *report,
		      struct attachments *ret_attachments)
{
	struct attachment *list = arena_take(scratch, snapshot->policy_count * sizeof(*list));
	struct gateway_names gateways;

	if (!list || gateways_collect(snapshot, scratch, &gateways) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < snapshot->policy_count; i++) {
		list[i].policy = &snapshot->policy_list[i];
		list[i].arena = snapshot->arena;
		attachment_prepare(&gateways, &list[i], report);
	}
	qsort(list, snapshot->policy_count, sizeof(*list), attachment_order);
	ret_attachments->list = list;
	ret_attachments->count = snapshot->policy_count;
	return 0;
}

static uint32_t run_start(const struct attachments *attachments, enum target_kind kind, struct span namespace,
			  struct span name)
{
	uint32_t low = 0, high = attachments->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (target_compare(&attachments->list[middle], kind, namespace, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct attachment_run attachments_of(const struct attachments *attachments, enum target_kind kind,
				     struct span namespace, struct span name)
{
	uint32_t start = run_start(attachments, kind, namespace, name), end = start;

	while (end < attachments->count &&
	       target_compare(&attachments->list[end], kind, namespace, name) == 0)
		end++;
	return (struct attachment_run){ attachments->list + start, end - start };
}

/* Of a standalone file. What is written at a listener has no name; policies of manifests have one. */
static bool is_of_file(const struct targeted_policy *policy)
{
	return !policy->has_name || span_eq(policy->name_kind, SPAN("Local"));
}

/*
 * What the guard was meant for would be open. The loader of manifests has refused that, unless it is not
 * there.
 */
static bool is_open(const struct targeted_policy *policy)
{
	return (guard_kind_of(policy->value.kind) || guards_mcp(policy->value.kind)) && is_of_file(policy);
}

void attachments_finish(const struct attachments *attachments, struct config_report *report)
{
	for (uint32_t i = 0; i < attachments->count; i++) {
		const struct attachment *attachment = &attachments->list[i];

		if (attachment->policy->is_attached || attachment->is_excused)
			continue;
		if (!is_open(attachment->policy))
			attachment_warn(report, attachment->policy,
					"has no effect: nothing that is loaded fits this target; "
					"check its kind, namespace, name and section");
		else
			report_sentence(report, CONFIG_ERROR, attachment->policy,
					guards_connections(attachment->policy)
						? "guards nothing: nothing that is loaded fits this target; "
						  "check its kind, namespace, name and section"
						: "guards nothing: nothing that is loaded and serves HTTP "
						  "fits this target; check its kind, namespace, name and "
						  "section");
	}
}

/* ---- levels */

enum policy_level attachment_on_listener(const struct attachment *attachment, const struct listener *listener,
					 uint16_t port)
{
	const struct policy_target *target = &attachment->policy->target;

	bool is_set = target->kind == TARGET_LISTENER_SET;

	if (attachment->is_excused || (target->port && target->port != port))
		return LEVEL_NONE;
	if (target->listener_key.len)
		return span_eq(target->listener_key, listener->key) ? LEVEL_LISTENER : LEVEL_NONE;
	/* A listener of a ListenerSet may have the name of one of the Gateway's. */
	if (target->section.len)
		return is_set == (listener->set_name.len > 0) &&
				       span_eq(target->section, listener->listener_name)
			       ? LEVEL_LISTENER
			       : LEVEL_NONE;
	if (is_set)
		return LEVEL_LISTENER_SET;
	return target->port ? LEVEL_GATEWAY_PORT : LEVEL_GATEWAY;
}

enum policy_level attachment_on_route(const struct attachment *attachment, struct span rule_name,
				      struct span kind)
{
	const struct policy_target *target = &attachment->policy->target;

	if (attachment->is_excused ||
	    (target->route_kind.len && kind.len && !span_eq(target->route_kind, kind)))
		return LEVEL_NONE;
	if (target->section.len)
		return span_eq(target->section, rule_name) ? LEVEL_RULE : LEVEL_NONE;
	return LEVEL_ROUTE;
}

enum policy_level attachment_on_target(const struct attachment *attachment, struct span name)
{
	const struct policy_target *target = &attachment->policy->target;

	return !attachment->is_excused && target->section.len && span_eq(target->section, name)
		       ? LEVEL_BACKEND_PORT
		       : LEVEL_NONE;
}

enum policy_level attachment_on_backend(const struct attachment *attachment, uint16_t port)
{
	const struct policy_target *target = &attachment->policy->target;

	if (attachment->is_excused || target->section.len || (target->port && target->port != port))
		return LEVEL_NONE;
	return target->port ? LEVEL_BACKEND_PORT : LEVEL_BACKEND;
}
