// Celery's messages: the bytes that a real Celery has sent, read and written again.
#include "jobs/support.hpp"

#include <cmath>

#include "../../io/jobs/src/message.hpp"

using namespace jobs_tests;
using namespace eddy::jobs::detail;

namespace {

// As redis-cli MONITOR has shown them.
constexpr const char* sent_by_celery = R"json({"body": "W1syLCAzXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "tasks.add", "id": "11111111-2222-3333-4444-555555555555", "shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": "11111111-2222-3333-4444-555555555555", "parent_id": null, "argsrepr": "(2, 3)", "kwargsrepr": "{}", "origin": "gen9092@vm", "ignore_result": false}, "properties": {"correlation_id": "11111111-2222-3333-4444-555555555555", "reply_to": "f4487bc8-a60b-3736-bc17-9d338ecc893b", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "6928862c-58ad-4a3c-803a-750b6d3b863a"}})json";
constexpr const char* retried_by_celery = R"json({"body": "W1syXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "tasks.flaky", "id": "aaaaaaaa-0000-0000-0000-000000000003", "shadow": null, "eta": "2026-11-21T22:39:52.086495+00:00", "expires": null, "group": null, "group_index": null, "retries": 1, "timelimit": [null, null], "root_id": "aaaaaaaa-0000-0000-0000-000000000003", "parent_id": "aaaaaaaa-0000-0000-0000-000000000003", "argsrepr": "(2,)", "kwargsrepr": "{}", "origin": "gen9180@vm", "ignore_result": false}, "properties": {"correlation_id": "aaaaaaaa-0000-0000-0000-000000000003", "reply_to": "f58153c9-c5de-3b06-844c-7c3113c22b10", "replaced_task_nesting": 0, "origin": "gen9349@vm", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "6d2ef3b6-11d2-4bba-9bb2-8ff9d6e2fd37"}})json";
constexpr const char* with_eta = R"json({"body": "W1sxLCAxXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "tasks.add", "id": "0d9259c3-6fd6-4de3-b2f8-29b6cd99a273", "shadow": null, "eta": "2026-11-22T01:02:03.000456+00:00", "expires": "2026-11-21T22:42:05.006567+00:00", "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": "0d9259c3-6fd6-4de3-b2f8-29b6cd99a273", "parent_id": null, "argsrepr": "(1, 1)", "kwargsrepr": "{}", "origin": "gen10094@vm", "ignore_result": false}, "properties": {"correlation_id": "0d9259c3-6fd6-4de3-b2f8-29b6cd99a273", "reply_to": "2e9112ea-c32b-3b06-91b6-74d8fe0d851c", "delivery_mode": 2, "expiration": "60000", "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "a5cff632-113c-418d-8e94-02c8864197bf"}})json";
constexpr const char* with_limits = R"json({"body": "W1sxLCAxXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "tasks.add", "id": "d5efc6b6-8b42-491a-b164-ac84f38406e4", "shadow": null, "eta": null, "expires": "2026-11-21T22:41:35.008249+00:00", "group": null, "group_index": null, "retries": 0, "timelimit": [10, 5], "root_id": "d5efc6b6-8b42-491a-b164-ac84f38406e4", "parent_id": null, "argsrepr": "(1, 1)", "kwargsrepr": "{}", "origin": "gen10094@vm", "ignore_result": false, "x-trace": "abc"}, "properties": {"correlation_id": "d5efc6b6-8b42-491a-b164-ac84f38406e4", "reply_to": "2e9112ea-c32b-3b06-91b6-74d8fe0d851c", "delivery_mode": 2, "expiration": "30000", "delivery_info": {"exchange": "", "routing_key": "other"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "9c0284c9-c0f9-4223-a015-8d6fe6cf67b9"}})json";
constexpr const char* first_of_a_chain = R"json({"body": "W1sxLCAyXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogW3sidGFzayI6ICJ0YXNrcy5hZGQiLCAiYXJncyI6IFs0XSwgImt3YXJncyI6IHt9LCAib3B0aW9ucyI6IHsidGFza19pZCI6ICIwMjNjNzk4My00NmU4LTQ5MTQtOTU0NC02ZjM0ZDllZjI4YTUiLCAicmVwbHlfdG8iOiAiMmU5MTEyZWEtYzMyYi0zYjA2LTkxYjYtNzRkOGZlMGQ4NTFjIn0sICJzdWJ0YXNrX3R5cGUiOiBudWxsLCAiaW1tdXRhYmxlIjogZmFsc2V9LCB7InRhc2siOiAidGFza3MuYWRkIiwgImFyZ3MiOiBbM10sICJrd2FyZ3MiOiB7fSwgIm9wdGlvbnMiOiB7InRhc2tfaWQiOiAiZDdmODgzN2EtN2FjNC00OTFiLWFiNmUtNDQ3YjA5M2RmYjY3IiwgInJlcGx5X3RvIjogIjJlOTExMmVhLWMzMmItM2IwNi05MWI2LTc0ZDhmZTBkODUxYyJ9LCAic3VidGFza190eXBlIjogbnVsbCwgImltbXV0YWJsZSI6IGZhbHNlfV0sICJjaG9yZCI6IG51bGx9XQ==", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "tasks.add", "id": "5a28aeba-ef66-44b3-bb72-4b1216442023", "shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": "5a28aeba-ef66-44b3-bb72-4b1216442023", "parent_id": null, "argsrepr": "(1, 2)", "kwargsrepr": "{}", "origin": "gen10094@vm", "ignore_result": false}, "properties": {"correlation_id": "5a28aeba-ef66-44b3-bb72-4b1216442023", "reply_to": "2e9112ea-c32b-3b06-91b6-74d8fe0d851c", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "4b0b76af-f6d2-4026-ac5c-46d343be4818"}})json";
constexpr const char* part_of_a_chord = R"json({"body": "W1sxLCAxXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogeyJ0YXNrIjogInRhc2tzLnRzdW0iLCAiYXJncyI6IFtdLCAia3dhcmdzIjoge30sICJvcHRpb25zIjogeyJ0YXNrX2lkIjogIjM5OGIzODVjLTA4NjItNDM3Ni1iMGNiLWQzMTlmNjQzZTdhMCIsICJyZXBseV90byI6ICIyZTkxMTJlYS1jMzJiLTNiMDYtOTFiNi03NGQ4ZmUwZDg1MWMifSwgInN1YnRhc2tfdHlwZSI6IG51bGwsICJpbW11dGFibGUiOiBmYWxzZX19XQ==", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "tasks.add", "id": "25200074-302a-41eb-b299-f88a882a4a9c", "shadow": null, "eta": null, "expires": null, "group": "c8b5ba98-a560-4592-a1bc-19be41b5ec7b", "group_index": 0, "retries": 0, "timelimit": [null, null], "root_id": "25200074-302a-41eb-b299-f88a882a4a9c", "parent_id": null, "argsrepr": "(1, 1)", "kwargsrepr": "{}", "origin": "gen10094@vm", "ignore_result": false}, "properties": {"correlation_id": "25200074-302a-41eb-b299-f88a882a4a9c", "reply_to": "2e9112ea-c32b-3b06-91b6-74d8fe0d851c", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "7411288a-caed-4723-8165-25469b8fe8ff"}})json";
constexpr const char* with_links = R"json({"body": "W1sxLCAxXSwge30sIHsiY2FsbGJhY2tzIjogW3sidGFzayI6ICJ0YXNrcy5hZGQiLCAiYXJncyI6IFsxMF0sICJrd2FyZ3MiOiB7fSwgIm9wdGlvbnMiOiB7fSwgInN1YnRhc2tfdHlwZSI6IG51bGwsICJpbW11dGFibGUiOiBmYWxzZX1dLCAiZXJyYmFja3MiOiBbeyJ0YXNrIjogInRhc2tzLm9uZXJyIiwgImFyZ3MiOiBbXSwgImt3YXJncyI6IHt9LCAib3B0aW9ucyI6IHt9LCAic3VidGFza190eXBlIjogbnVsbCwgImltbXV0YWJsZSI6IGZhbHNlfV0sICJjaGFpbiI6IG51bGwsICJjaG9yZCI6IG51bGx9XQ==", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "tasks.add", "id": "03383cc2-0686-485c-93ce-e2b74b5f45e9", "shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": "03383cc2-0686-485c-93ce-e2b74b5f45e9", "parent_id": null, "argsrepr": "(1, 1)", "kwargsrepr": "{}", "origin": "gen10094@vm", "ignore_result": false}, "properties": {"correlation_id": "03383cc2-0686-485c-93ce-e2b74b5f45e9", "reply_to": "2e9112ea-c32b-3b06-91b6-74d8fe0d851c", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "4d252d9e-7751-4700-924b-7427c6636d65"}})json";
constexpr const char* of_protocol_1 = R"json({"body": "eyJ0YXNrIjogInRhc2tzLmFkZCIsICJpZCI6ICJwcm90bzEiLCAiYXJncyI6IFsxLCAyXSwgImt3YXJncyI6IHt9LCAiZ3JvdXAiOiBudWxsLCAiZ3JvdXBfaW5kZXgiOiBudWxsLCAicmV0cmllcyI6IDAsICJldGEiOiBudWxsLCAiZXhwaXJlcyI6IG51bGwsICJ1dGMiOiB0cnVlLCAiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgInRpbWVsaW1pdCI6IFtudWxsLCBudWxsXSwgInRhc2tzZXQiOiBudWxsLCAiY2hvcmQiOiBudWxsfQ==", "content-encoding": "utf-8", "content-type": "application/json", "headers": {}, "properties": {"correlation_id": "proto1", "reply_to": "34d4a780-9f4a-3a0c-afa0-545672cff2f9", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "5272243e-974c-409a-8cb0-a4af2d7864d3"}})json";

std::string reason_of(const std::string& payload) {
    try {
        static_cast<void>(decode_message(payload));
        return "none";
    } catch (const jobs::malformed_message& e) {
        return e.what();
    }
}

} // namespace

EDDY_TEST("JOB-40 a message of a real Celery is read") {
    const message m = decode_message(sent_by_celery);
    CHECK(m.task == "tasks.add");
    CHECK(m.id == "11111111-2222-3333-4444-555555555555");
    CHECK(m.args.dump() == "[2,3]");
    CHECK(m.kwargs.dump() == "{}");
    CHECK(m.queue == "celery");
    CHECK(m.tag == "6928862c-58ad-4a3c-803a-750b6d3b863a");
    CHECK(m.reply_to == "f4487bc8-a60b-3736-bc17-9d338ecc893b");
    CHECK(m.chain.is_null());
    CHECK_FALSE(m.eta.has_value());
    CHECK_FALSE(m.redelivered);
    co_return;
}

EDDY_TEST("JOB-41 retries, times, limits and workflows are where Celery puts them") {
    const message retried = decode_message(retried_by_celery);
    CHECK(retried.retries == 1);
    REQUIRE(retried.eta);
    CHECK(to_iso(*retried.eta) == "2026-11-21T22:39:52.086495+00:00");
    CHECK(retried.parent_id == retried.id);
    const message timed = decode_message(with_eta);
    REQUIRE(timed.expires);
    CHECK(to_iso(*timed.expires) == "2026-11-21T22:42:05.006567+00:00");
    const message limited = decode_message(with_limits);
    CHECK(limited.time_limit == 10.0); // the hard one is first on the wire
    CHECK(limited.soft_time_limit == 5.0);
    CHECK(limited.headers["x-trace"] == "abc");
    CHECK(limited.queue == "other");
    const message chained = decode_message(first_of_a_chain);
    CHECK(chained.chain.size() == 2);
    CHECK(chained.chain[1]["args"].dump() == "[3]"); // the last is the next
    const message part = decode_message(part_of_a_chord);
    CHECK(part.group_index == 0);
    CHECK(part.chord["task"] == "tasks.tsum");
    const message linked = decode_message(with_links);
    CHECK(linked.callbacks[0]["task"] == "tasks.add");
    CHECK(linked.errbacks[0]["task"] == "tasks.onerr");
    co_return;
}

EDDY_TEST("JOB-42 protocol 1 is understood") {
    const message m = decode_message(of_protocol_1);
    CHECK(m.task == "tasks.add");
    CHECK(m.id == "proto1");
    CHECK(m.args.dump() == "[1,2]");
    co_return;
}

EDDY_TEST("JOB-43 what is written is read as the same") {
    for (const char* text : {sent_by_celery, retried_by_celery, with_eta, with_limits, first_of_a_chain, part_of_a_chord, with_links, of_protocol_1}) {
        const message m = decode_message(text);
        const message n = decode_message(encode_message(m));
        CHECK(n.task == m.task);
        CHECK(n.id == m.id);
        CHECK(n.args == m.args);
        CHECK(n.eta == m.eta);
        CHECK(n.expires == m.expires);
        CHECK(n.time_limit == m.time_limit);
        CHECK(n.soft_time_limit == m.soft_time_limit);
        CHECK(n.chain == m.chain);
        CHECK(n.chord == m.chord);
        CHECK(n.callbacks == m.callbacks);
        CHECK(n.group == m.group);
        CHECK(n.group_index == m.group_index);
        CHECK(n.tag == m.tag);
        CHECK(n.queue == m.queue);
        CHECK(n.retries == m.retries);
        const message again = decode_message(mark_redelivered(encode_message(m), 2));
        CHECK(again.redelivered);
        CHECK(again.deliveries == 2);
    }
    co_return;
}

EDDY_TEST("JOB-44 what is no message says why") {
    CHECK(reason_of("garbage").starts_with("not a job's message: no JSON"));
    CHECK(reason_of("[]") == "not a job's message: no object");
    CHECK(reason_of("{}") == "not a job's message: it has no body");
    CHECK(reason_of(R"({"body": "x", "properties": {"body_encoding": "base64"}})") == "not a job's message: its body is no base64");
    CHECK(reason_of(R"({"body": "[1]", "headers": {"task": "a", "id": "b"}})") == "not a job's message: its body is no list of arguments, keyword arguments and workflow");
    CHECK(reason_of(R"({"body": "[[], {}, {}]", "headers": {"task": "a"}})") == "not a job's message: it has no id");
    CHECK(reason_of(R"({"body": "[[], {}, {}]", "headers": {"task": "a", "id": "b", "eta": "soon"}})") == "not a job's message: \"eta\" is no time: \"soon\"");
    CHECK(reason_of(R"({"body": "gAJ9", "content-type": "application/x-python-serialize", "headers": {"task": "a", "id": "b"}})") ==
          "not a job's message: its body is application/x-python-serialize; only application/json is understood");
    CHECK(reason_of(R"({"body": "[[], {}, null]", "headers": {"task": "a", "id": "b"}})") == "none");
    co_return;
}

EDDY_TEST("JOB-45 Python's numbers: NaN, infinities, and integers that are exact up to 64 bits") {
    const message m = decode_message(R"({"body": "[[NaN, -Infinity, 9007199254740993, \"NaN\"], {}, null]", "headers": {"task": "a", "id": "b"}})");
    CHECK(std::isnan(m.args[0].get<double>()));
    CHECK(m.args[1].get<double>() < -1e308);
    CHECK(m.args[2].get<std::int64_t>() == 9007199254740993);
    CHECK(m.args[3] == "NaN");
    co_return;
}

EDDY_TEST("JOB-46 times, base64 and what Python would print") {
    CHECK(from_iso("2026-11-21T22:41:08Z") == from_iso("2026-11-22T00:41:08.000+02:00"));
    CHECK(from_iso("2026-11-21T22:41:08") == from_iso("2026-11-21T22:41:08+00:00"));
    CHECK_FALSE(from_iso("2026-13-21T22:41:08"));
    CHECK_FALSE(from_iso("2026-11-21T22:41:08 or so"));
    for (const char* s : {"", "a", "ab", "abc", "abcd"}) CHECK(from_base64(to_base64(s)) == s);
    CHECK(to_base64("abcd") == "YWJjZA==");
    CHECK_FALSE(from_base64("YWJj="));
    CHECK(python_repr_tuple(json::parse("[2]")) == "(2,)");
    CHECK(python_repr(json::parse(R"([null, true, "it's", {"a": 1.5}])")) == "[None, True, \"it's\", {'a': 1.5}]");
    co_return;
}
