/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/explain_route.h"

#include <errno.h>

#include "admin/dump/config_dump_policy.h"
#include "config/load.h"
#include "config/snapshot.h"
#include "policy/compile/effective.h"
#include "policy/guard/guard.h"
#include "user/base/check.h"

enum { BLOCK_BYTES = 64 * 1024, NAMES_MAX = 20 };

struct explanation {
	struct json_writer *w;
	uint32_t route_count;
};

static const char *const level_words[] = {
	[LEVEL_NONE] = "",
	[LEVEL_GATEWAY] = "on the gateway",
	[LEVEL_GATEWAY_PORT] = "on the port of the gateway",
	[LEVEL_LISTENER_SET] = "on the ListenerSet",
	[LEVEL_LISTENER] = "on the listener",
	[LEVEL_BACKEND] = "on the backend",
	[LEVEL_BACKEND_PORT] = "on the port of the backend",
	[LEVEL_PARENT] = "on the route that delegates to it",
	[LEVEL_ROUTE] = "on the route",
	[LEVEL_RULE] = "on the rule",
	[LEVEL_INLINE_ROUTE] = "written in the rule",
	[LEVEL_INLINE_BACKEND] = "written in the backend",
	[LEVEL_INLINE_REF] = "written where the rule names the backend",
};

/* "policy KEY on the gateway", "written in the rule" */
static void say_origin(const struct precedence_candidate *candidate, struct text *out)
{
	if (candidate->attachment)
		text_fmt(out, "policy %.*s ", SPAN_FMT(candidate->attachment->policy->key));
	text_str(out, level_words[candidate->level]);
}

static void write_text(struct json_writer *w, const char *key, const struct text *text)
{
	json_string(w, key, text_error(text) ? SPAN("no memory") : text_span(text));
}

static void write_origin(struct json_writer *w, const struct precedence_candidate *candidate)
{
	struct text from;

	text_init(&from);
	say_origin(candidate, &from);
	write_text(w, "from", &from);
	text_done(&from);
	if (candidate->where.len)
		json_string(w, "where", candidate->where);
}

/* The candidate that the winner of its kind stands for. */
static const struct precedence_candidate *winner_of(const struct precedence *precedence,
						    enum policy_kind kind)
{
	const struct precedence_winner *winner = &precedence->of[kind];
	const struct precedence_candidate *found = NULL;

	for (const struct precedence_candidate *at = precedence->candidate_list; at; at = at->next)
		if (at->kind == kind && precedence_counts(precedence, at) &&
		    at->attachment == winner->attachment && (!found || at->level > found->level))
			found = at;
	return found;
}

static void write_why(struct json_writer *w, const struct precedence_candidate *winner,
		      const struct precedence_candidate *loser)
{
	struct text why;

	text_init(&why);
	if (winner->level == loser->level && winner->attachment && loser->attachment) {
		text_fmt(&why, "policy %.*s of the same level %s", SPAN_FMT(winner->attachment->policy->key),
			 precedence_win_reason(winner->attachment, loser->attachment));
	} else if (winner->level == loser->level) {
		text_str(&why, "the first one of a place counts");
	} else {
		text_str(&why, winner->attachment ? "" : "what is ");
		say_origin(winner, &why);
		text_str(&why, " is stronger");
	}
	write_text(w, "because", &why);
	text_done(&why);
}

/* A policy that others of its level are merged with: what of it does not count. */
static void write_lost_members(struct json_writer *w, const struct targeted_policy *policy)
{
	if (!policy->lost_count)
		return;
	json_open_array(w, "withoutEffect");
	for (uint32_t i = 0; i < policy->lost_count; i++)
		json_string(w, NULL, policy->lost_list[i]);
	json_close(w);
}

static void write_candidate(struct json_writer *w, const struct precedence_candidate *candidate)
{
	json_open_object(w, NULL);
	dump_policy_value(w, &(struct policy_value){ candidate->kind, candidate->object });
	write_origin(w, candidate);
}

/* Of a merged winner all parts, of policies that add up all of them. */
static void write_parts(struct json_writer *w, const struct precedence *precedence, enum policy_kind kind)
{
	json_open_array(w, "parts");
	for (const struct precedence_candidate *at = precedence->candidate_list; at; at = at->next) {
		if (at->kind != kind || !precedence_counts(precedence, at))
			continue;
		write_candidate(w, at);
		if (at->attachment)
			write_lost_members(w, at->attachment->policy);
		json_close(w);
	}
	json_close(w);
}

/* Opens the list at the first of them. */
static void write_losers(struct json_writer *w, const struct precedence *losers,
			 const struct precedence *winners, const struct precedence_candidate *winner,
			 bool *is_open)
{
	for (const struct precedence_candidate *at = losers->candidate_list; at; at = at->next) {
		if (at->kind != winner->kind || (losers == winners && precedence_counts(winners, at)))
			continue;
		if (!*is_open)
			json_open_array(w, "lost");
		*is_open = true;
		write_candidate(w, at);
		write_why(w, winner, at);
		json_close(w);
	}
}

/* One kind. other: weaker candidates of another list, or NULL. */
static void write_kind(struct json_writer *w, const struct precedence *precedence,
		       const struct precedence *other, enum policy_kind kind)
{
	const struct precedence_candidate *winner = winner_of(precedence, kind);
	bool adds_up = precedence_adds_up(kind), is_open = false;

	if (!winner)
		return;
	json_open_object(w, NULL);
	if (adds_up)
		json_str(w, "policy", policy_kind_name(kind));
	else
		dump_policy_value(w, &(struct policy_value){ kind, precedence->of[kind].object });
	if (!adds_up && precedence->of[kind].object == winner->object)
		write_origin(w, winner);
	else
		write_parts(w, precedence, kind);
	write_losers(w, precedence, precedence, winner, &is_open);
	if (other && !adds_up)
		write_losers(w, other, precedence, winner, &is_open);
	if (is_open)
		json_close(w);
	json_close(w);
}

/* Guards of the gateway phase are asked before a route is chosen. */
static void write_listener_guards(struct json_writer *w, const struct guard_list *guards)
{
	if (!guards->count)
		return;
	json_open_array(w, "guardsOfListener");
	for (uint32_t i = 0; i < guards->count; i++) {
		json_open_object(w, NULL);
		dump_policy_value(
			w, &(struct policy_value){ guards->list[i].guard->kind, guards->list[i].object });
		if (guards->list[i].rule.len)
			json_string(w, "from", guards->list[i].rule);
		json_close(w);
	}
	json_close(w);
}

/* Those of the section BACKEND are listed with each backend. */
static void write_route_policies(struct json_writer *w, const struct precedence *precedence)
{
	json_open_array(w, "policies");
	for (unsigned kind = 0; kind < POLICY_KIND_COUNT; kind++)
		if (policy_section_of((enum policy_kind)kind) == SECTION_TRAFFIC)
			write_kind(w, precedence, NULL, (enum policy_kind)kind);
	json_close(w);
}

static bool is_of_connections(enum policy_kind kind)
{
	return kind == POLICY_BACKEND_TCP || kind == POLICY_BACKEND_TLS || kind == POLICY_BACKEND_HEALTH ||
	       kind == POLICY_LOAD_BALANCER || kind == POLICY_SESSION_AFFINITY;
}

/* Header modifiers, rewrites and redirects of a backend apply beside those of the route. */
static void write_backend(struct json_writer *w, const struct backend_ref *ref, bool is_tcp,
			  const struct precedence *route, const struct precedence *own)
{
	json_open_object(w, NULL);
	json_string(w, "backend", ref->backend->target.len ? ref->backend->target : ref->backend->name);
	if (ref->where.len)
		json_string(w, "where", ref->where);
	json_open_array(w, "policies");
	for (unsigned i = 0; i < POLICY_KIND_COUNT; i++) {
		enum policy_kind kind = (enum policy_kind)i;

		if (is_tcp && !is_of_connections(kind))
			continue;
		if (policy_section_of(kind) != SECTION_BACKEND)
			write_kind(w, own, NULL, kind);
		else if (own->of[kind].level > route->of[kind].level)
			write_kind(w, own, route, kind);
		else
			write_kind(w, route, own, kind);
	}
	json_close(w);
	json_close(w);
}

static int write_rule(void *context, const struct watched_route *watched)
{
	struct explanation *explanation = context;
	const struct route *route = watched->route;
	const struct tcp_route *tcp = watched->tcp_route;
	const struct backend_ref *list = route ? route->backend_list : tcp->backend_list;
	uint32_t count = route ? route->backend_count : tcp->backend_count;
	struct span rule = route ? route->rule_name : tcp->rule_name;
	struct json_writer *w = explanation->w;

	explanation->route_count++;
	json_open_object(w, NULL);
	json_string(w, "route", route ? route->label : tcp->label);
	if (rule.len)
		json_string(w, "rule", rule);
	json_string(w, "where", route ? route->where : tcp->where);
	json_string(w, "listener", watched->listener->key);
	if (route && route->is_refused) {
		json_str(w, "refused", "every request gets 500, and no policy applies");
	} else if (route) {
		write_listener_guards(w, &watched->listener->guards);
		write_route_policies(w, watched->precedence);
	}
	json_open_array(w, "backends");
	for (uint32_t i = 0; i < count; i++)
		write_backend(w, &list[i], !route, watched->precedence, &watched->ref_list[i]);
	json_close(w);
	json_close(w);
	return text_error(w->out);
}

static void add_name(struct text *names, struct span label, struct span *before, uint32_t *count)
{
	if (span_eq(label, *before))
		return;
	*before = label;
	if ((*count)++ < NAMES_MAX)
		text_fmt(names, "%s%.*s", names->len ? ", " : "write one of ", SPAN_FMT(label));
}

/* One line with the routes there are. */
static int refuse_name(const struct snapshot *snapshot, const char *name)
{
	struct span before = { 0 };
	uint32_t count = 0;
	struct text names;

	text_init(&names);
	for (uint32_t b = 0; b < snapshot->bind_count; b++) {
		for (uint32_t l = 0; l < snapshot->bind_list[b].listener_count; l++) {
			const struct listener *listener = &snapshot->bind_list[b].listener_list[l];

			for (uint32_t r = 0; r < listener->route_count; r++)
				add_name(&names, listener->route_list[r].label, &before, &count);
			for (uint32_t r = 0; r < listener->tcp_route_count; r++)
				add_name(&names, listener->tcp_route_list[r].label, &before, &count);
		}
	}
	if (count > NAMES_MAX)
		text_str(&names, ", …");
	text_char(&names, '\0');
	(void)options_fail("no route", name,
			   !count || text_error(&names) ? "the configuration has none" : names.data);
	text_done(&names);
	return -ENOENT;
}

int explain_route(struct options *options, const char *name, struct config_report *report,
		  struct json_writer *w)
{
	struct explanation explanation = { .w = w };
	struct snapshot *snapshot = NULL;
	struct arena arena;
	int error = options_read_streams(options);

	if (error)
		return error;
	arena_init(&arena, BLOCK_BYTES);
	error = config_load(options->source_list, options->source_count, NULL, report, &snapshot);
	json_open_array(w, "routes");
	if (!error)
		error = policy_compile_watched(
			snapshot, report,
			&(struct route_watch){ span_str(name), &arena, write_rule, &explanation });
	json_close(w);
	if (!error && !explanation.route_count)
		error = refuse_name(snapshot, name);
	snapshot_unref(snapshot);
	arena_done(&arena);
	return error;
}
