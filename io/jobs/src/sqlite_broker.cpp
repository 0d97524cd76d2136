// The broker in a file. Each call is one transaction on the blocking pool. Claims are rows with a time: a process that is killed leaves
// them behind, and the sweep of another one puts them back when they are too old.
#include <filesystem>
#include <map>

#include <eddy/event.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/offload.hpp>
#include <eddy/timeout.hpp>

#include "broker.hpp"
#include "message.hpp"
#include "sqlite_file.hpp"

namespace eddy::jobs::detail {

namespace {

/// The connection that the clients and workers of a thread share, so that they hear of each other without looking.
struct sqlite_shared {
    explicit sqlite_shared(std::unique_ptr<sqlite_file> f) : file(std::move(f)) {}
    std::unique_ptr<sqlite_file> file;
    event changed;
    void notify() noexcept {
        changed.set();
        changed.clear();
    }
};

double unix_now() {
    return to_unix(wall_now());
}
double unix_after(std::chrono::nanoseconds ttl) {
    return unix_now() + std::chrono::duration<double>(ttl).count();
}

/// The next messages of one queue.
void claim_from(sqlite_file& f, const std::string& queue, std::size_t most, double now, std::vector<delivery>& to) {
    std::vector<std::int64_t> positions;
    {
        auto find = f.prepare("SELECT position, tag, payload FROM eddy_messages WHERE queue = ? AND claimed IS NULL AND dead IS NULL ORDER BY priority, position LIMIT ?");
        find.bind(queue).bind(static_cast<std::int64_t>(most));
        while (find.step()) {
            positions.push_back(find.integer(0));
            to.emplace_back(find.text(1), find.text(2), queue);
        }
    }
    for (const std::int64_t p : positions) f.prepare("UPDATE eddy_messages SET claimed = ? WHERE position = ?").bind(now).bind(p).run();
}

/// The time of a claim that is nobody's and does not expire: what was put off is in a table of its own.
constexpr double put_off_claim = 1e18;
void put_off_in(sqlite_file& f, const std::string& tag, double until) {
    f.prepare("INSERT OR REPLACE INTO eddy_put_off (position, until) SELECT position, ? FROM eddy_messages WHERE tag = ? AND claimed IS NOT NULL AND dead IS NULL").bind(until).bind(tag).run();
    if (f.changes() > 0) f.prepare("UPDATE eddy_messages SET claimed = ? WHERE tag = ?").bind(put_off_claim).bind(tag).run();
}
/// Did any come back?
bool return_put_off_in(sqlite_file& f, double now) {
    f.prepare("UPDATE eddy_messages SET claimed = NULL WHERE position IN (SELECT position FROM eddy_put_off WHERE until <= ?)").bind(now).run();
    const bool any = f.changes() > 0;
    f.prepare("DELETE FROM eddy_put_off WHERE until <= ?").bind(now).run();
    return any;
}

struct sqlite_expired {
    std::int64_t position;
    std::string payload;
};
std::size_t restore_in(sqlite_file& f, double before, int most_deliveries) {
    std::vector<sqlite_expired> all;
    {
        auto find = f.prepare("SELECT position, payload FROM eddy_messages WHERE claimed < ? AND dead IS NULL LIMIT 1000");
        find.bind(before);
        while (find.step()) all.push_back({find.integer(0), find.text(1)});
    }
    for (const sqlite_expired& e : all) {
        int deliveries = 0;
        try {
            deliveries = decode_message(e.payload).deliveries;
        } catch (const malformed_message&) { // its next worker buries it
        }
        ++deliveries;
        if (deliveries >= most_deliveries)
            f.prepare("UPDATE eddy_messages SET claimed = NULL, dead = ? WHERE position = ?").bind("given out " + std::to_string(deliveries) + " times and never finished").bind(e.position).run();
        else
            f.prepare("UPDATE eddy_messages SET claimed = NULL, payload = ? WHERE position = ?").bind(mark_redelivered(e.payload, deliveries)).bind(e.position).run();
    }
    return all.size();
}
void store_in(sqlite_file& f, const std::string& id, const std::string& body, double until, double now) {
    f.prepare("INSERT INTO eddy_results (id, body, until) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body, until = excluded.until").bind(id).bind(body).bind(until).run();
    f.prepare("DELETE FROM eddy_results WHERE until < ?").bind(now).run();
}
std::optional<std::vector<std::string>> add_part_in(sqlite_file& f, const std::string& group, int index, const std::string& part) {
    std::int64_t size = 0;
    {
        auto find = f.prepare("SELECT size FROM eddy_groups WHERE id = ? AND size IS NOT NULL");
        find.bind(group);
        if (!find.step()) return std::nullopt; // over
        size = find.integer(0);
    }
    f.prepare("INSERT OR REPLACE INTO eddy_chord_parts (id, place, body) VALUES (?, ?, ?)").bind(group).bind(std::int64_t{index}).bind(part).run();
    std::vector<std::string> all;
    {
        auto find = f.prepare("SELECT body FROM eddy_chord_parts WHERE id = ? ORDER BY place");
        find.bind(group);
        while (find.step()) all.push_back(find.text(0));
    }
    if (static_cast<std::int64_t>(all.size()) < size) return std::nullopt;
    return all;
}
bool lock_in(sqlite_file& f, const std::string& name, const std::string& owner, double until, double now) {
    f.prepare("DELETE FROM eddy_locks WHERE until <= ?").bind(now).run();
    f.prepare("DELETE FROM eddy_locks WHERE name = ? AND owner = ?").bind(name).bind(owner).run();
    f.prepare("INSERT OR IGNORE INTO eddy_locks (name, owner, until) VALUES (?, ?, ?)").bind(name).bind(owner).bind(until).run();
    return f.changes() == 1;
}

void enqueue_in(sqlite_file& f, const outgoing& m) {
    f.prepare("INSERT INTO eddy_messages (tag, queue, priority, payload) VALUES (?, ?, ?, ?)").bind(m.tag).bind(m.queue).bind(std::int64_t{m.priority}).bind(m.payload).run();
}

class sqlite_broker final : public broker {
public:
    sqlite_broker(std::shared_ptr<sqlite_shared> s, std::chrono::nanoseconds poll) : shared_(std::move(s)), poll_(poll) {}

    task<> enqueue(outgoing m) override {
        auto work = [&](sqlite_file& f) { enqueue_in(f, m); };
        co_await run(work);
        shared_->notify();
    }
    task<> enqueue_once(outgoing m, std::string name, duration ttl) override {
        const double now = unix_now(), until = unix_after(ttl);
        const std::string owner = make_uuid(); // another one each time: it is not ours a second time
        auto work = [&](sqlite_file& f) {
            if (lock_in(f, name, owner, until, now)) enqueue_in(f, m);
        };
        co_await run(work);
        shared_->notify();
    }
    task<std::vector<delivery>> claim(std::vector<std::string> queues, std::size_t most) override {
        for (;;) {
            std::vector<delivery> taken;
            const double now = unix_now();
            auto work = [&](sqlite_file& f) {
                for (const std::string& q : queues)
                    if (taken.size() < most) claim_from(f, q, most - taken.size(), now, taken);
            };
            co_await run(work);
            if (!taken.empty()) co_return taken;
            co_await wait_for_change();
        }
    }
    task<> acknowledge(std::string tag) override {
        auto work = [&](sqlite_file& f) { f.prepare("DELETE FROM eddy_messages WHERE tag = ? AND dead IS NULL").bind(tag).run(); };
        co_await run(work);
    }
    task<> finish(std::string tag, std::string id, std::string result, duration ttl) override {
        const double now = unix_now(), until = unix_after(ttl);
        auto work = [&](sqlite_file& f) {
            store_in(f, id, result, until, now);
            f.prepare("DELETE FROM eddy_messages WHERE tag = ? AND dead IS NULL").bind(tag).run();
        };
        co_await run(work);
        shared_->notify();
    }
    task<> give_back(std::string tag, std::optional<std::string> payload) override {
        auto work = [&](sqlite_file& f) {
            if (payload) f.prepare("UPDATE eddy_messages SET payload = ? WHERE tag = ? AND claimed IS NOT NULL").bind(*payload).bind(tag).run();
            f.prepare("UPDATE eddy_messages SET claimed = NULL WHERE tag = ?").bind(tag).run();
        };
        co_await run(work);
        shared_->notify();
    }
    task<bool> put_off(std::string tag, duration pause) override {
        const double until = unix_after(pause);
        auto work = [&](sqlite_file& f) { put_off_in(f, tag, until); };
        co_await run(work);
        co_return true;
    }
    task<> refresh(std::vector<std::string> tags) override {
        const double now = unix_now();
        auto work = [&](sqlite_file& f) {
            for (const std::string& tag : tags) f.prepare("UPDATE eddy_messages SET claimed = ? WHERE tag = ? AND claimed < ?").bind(now).bind(tag).bind(put_off_claim).run();
        };
        co_await run(work);
    }
    task<std::size_t> restore(duration lease, int most_deliveries) override {
        const double now = unix_now(), before = unix_after(-lease);
        std::size_t n = 0;
        bool came_back = false;
        auto work = [&](sqlite_file& f) {
            came_back = return_put_off_in(f, now);
            n = restore_in(f, before, most_deliveries);
        };
        co_await run(work);
        if (n > 0 || came_back) shared_->notify();
        co_return n;
    }
    task<> bury(dead_letter letter) override {
        auto work = [&](sqlite_file& f) { f.prepare("UPDATE eddy_messages SET claimed = NULL, dead = ?, payload = ? WHERE tag = ?").bind(letter.reason).bind(letter.payload).bind(letter.tag).run(); };
        co_await run(work);
    }
    task<std::vector<dead_letter>> dead_letters(std::size_t most) override {
        std::vector<dead_letter> all;
        auto work = [&](sqlite_file& f) {
            auto find = f.prepare("SELECT tag, queue, dead, payload FROM eddy_messages WHERE dead IS NOT NULL ORDER BY position LIMIT ?");
            find.bind(static_cast<std::int64_t>(most));
            while (find.step()) all.emplace_back(find.text(0), find.text(1), find.text(2), find.text(3));
        };
        co_await run(work);
        co_return all;
    }
    task<bool> revive(std::string tag) override {
        bool found = false;
        auto work = [&](sqlite_file& f) {
            f.prepare("UPDATE eddy_messages SET dead = NULL, claimed = NULL WHERE tag = ? AND dead IS NOT NULL").bind(tag).run();
            found = f.changes() == 1;
        };
        co_await run(work);
        shared_->notify();
        co_return found;
    }
    task<std::size_t> length(std::string queue) override {
        std::int64_t n = 0;
        auto work = [&](sqlite_file& f) {
            auto find = f.prepare("SELECT COUNT(*) FROM eddy_messages WHERE queue = ? AND claimed IS NULL AND dead IS NULL");
            find.bind(queue);
            if (find.step()) n = find.integer(0);
        };
        co_await run(work);
        co_return static_cast<std::size_t>(n);
    }
    task<std::size_t> purge(std::string queue) override {
        std::int64_t n = 0;
        auto work = [&](sqlite_file& f) {
            f.prepare("DELETE FROM eddy_messages WHERE queue = ? AND claimed IS NULL AND dead IS NULL").bind(queue).run();
            n = f.changes();
        };
        co_await run(work);
        co_return static_cast<std::size_t>(n);
    }

    task<> store(std::string id, std::string result, duration ttl) override {
        const double now = unix_now(), until = unix_after(ttl);
        auto work = [&](sqlite_file& f) { store_in(f, id, result, until, now); };
        co_await run(work);
        shared_->notify();
    }
    task<std::optional<std::string>> fetch(std::string id) override {
        std::optional<std::string> found;
        const double now = unix_now();
        auto work = [&](sqlite_file& f) {
            auto find = f.prepare("SELECT body FROM eddy_results WHERE id = ? AND until > ?");
            find.bind(id).bind(now);
            if (find.step()) found = find.text(0);
        };
        co_await run(work);
        co_return found;
    }
    task<std::string> wait_final(std::string id) override {
        for (;;) {
            std::optional<std::string> r = co_await fetch(id);
            if (r && is_final_text(*r)) co_return std::move(*r);
            co_await wait_for_change();
        }
    }
    task<> forget(std::string id) override {
        auto work = [&](sqlite_file& f) { f.prepare("DELETE FROM eddy_results WHERE id = ?").bind(id).run(); };
        co_await run(work);
    }
    task<> store_group(std::string group, std::string text, duration ttl) override {
        const double until = unix_after(ttl);
        const double now = unix_now();
        auto work = [&](sqlite_file& f) {
            f.prepare("DELETE FROM eddy_groups WHERE until < ?").bind(now).run();
            f.prepare("INSERT INTO eddy_groups (id, body, until) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body").bind(group).bind(text).bind(until).run();
        };
        co_await run(work);
    }
    task<std::optional<std::string>> fetch_group(std::string group) override {
        std::optional<std::string> found;
        const double now = unix_now();
        auto work = [&](sqlite_file& f) {
            auto find = f.prepare("SELECT body FROM eddy_groups WHERE id = ? AND until > ? AND body IS NOT NULL");
            find.bind(group).bind(now);
            if (find.step()) found = find.text(0);
        };
        co_await run(work);
        co_return found;
    }
    task<> set_chord_size(std::string group, std::size_t size, duration ttl) override {
        const double now = unix_now(), until = unix_after(ttl);
        auto work = [&](sqlite_file& f) {
            f.prepare("DELETE FROM eddy_groups WHERE until < ?").bind(now).run();
            f.prepare("DELETE FROM eddy_chord_parts WHERE id NOT IN (SELECT id FROM eddy_groups)").run();
            f.prepare("INSERT INTO eddy_groups (id, size, until) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET size = excluded.size").bind(group).bind(static_cast<std::int64_t>(size)).bind(until).run();
        };
        co_await run(work);
    }
    task<std::optional<std::vector<std::string>>> add_chord_part(std::string group, int index, std::string part, duration) override {
        std::optional<std::vector<std::string>> all;
        auto work = [&](sqlite_file& f) { all = add_part_in(f, group, index, part); };
        co_await run(work);
        co_return all;
    }
    task<> end_chord(std::string group) override {
        auto work = [&](sqlite_file& f) {
            f.prepare("DELETE FROM eddy_chord_parts WHERE id = ?").bind(group).run();
            f.prepare("DELETE FROM eddy_groups WHERE id = ?").bind(group).run();
        };
        co_await run(work);
    }

    task<> broadcast(std::string text) override { return post({}, std::move(text)); }
    task<> listen() override {
        auto work = [&](sqlite_file& f) { heard_ = last_number(f); };
        co_await run(work);
    }
    task<std::string> next_control() override { return next_post({}, heard_); }
    task<> answer(json reply_to, std::string text) override {
        return post(reply_to.is_object() ? reply_to.value("routing_key", std::string()) : std::string("?"), std::move(text));
    }
    task<> listen_for_answers(std::string id) override {
        std::int64_t last = 0;
        auto work = [&](sqlite_file& f) { last = last_number(f); };
        co_await run(work);
        answered_.insert_or_assign(std::move(id), last);
    }
    task<std::string> next_answer(std::string id) override {
        std::int64_t& last = answered_.at(id);
        return next_post(std::move(id), last);
    }
    task<> end_answers(std::string id) override { // they go by themselves
        answered_.erase(id);
        co_return;
    }
    task<> emit(std::string, std::string) override { co_return; }
    task<bool> lock(std::string name, std::string owner, duration ttl) override {
        const double now = unix_now(), until = unix_after(ttl);
        bool ours = false;
        auto work = [&](sqlite_file& f) { ours = lock_in(f, name, owner, until, now); };
        co_await run(work);
        co_return ours;
    }
    task<> declare(std::string) override { co_return; }

private:
    template <class F>
    task<> run(F& work) {
        // A reference: nothing is captured that a cancelled call would have to destroy.
        auto op = offload(this_loop().blocking_pool(), [&work](std::shared_ptr<sqlite_shared> s) { s->file->transact(work); }, shared_);
        co_await op;
    }
    task<> wait_for_change() {
        const auto waiting = [&](cancel_scope&) -> task<> { co_await shared_->changed.wait(); };
        co_await move_on_after(poll_, waiting);
    }
    static std::int64_t last_number(sqlite_file& f) {
        auto find = f.prepare("SELECT COALESCE(MAX(number), 0) FROM eddy_control");
        return find.step() ? find.integer(0) : 0;
    }
    task<> post(std::string inbox, std::string text) {
        const double now = unix_now();
        auto work = [&](sqlite_file& f) {
            f.prepare("DELETE FROM eddy_control WHERE until < ?").bind(now).run();
            f.prepare("INSERT INTO eddy_control (inbox, body, until) VALUES (?, ?, ?)").bind(inbox).bind(text).bind(now + 60).run();
        };
        co_await run(work);
        shared_->notify();
    }
    task<std::string> next_post(std::string inbox, std::int64_t& after) {
        for (;;) {
            std::optional<std::string> found;
            auto work = [&](sqlite_file& f) {
                auto find = f.prepare("SELECT number, body FROM eddy_control WHERE number > ? AND inbox = ? ORDER BY number LIMIT 1");
                find.bind(after).bind(inbox);
                if (!find.step()) return;
                after = find.integer(0);
                found = find.text(1);
            };
            co_await run(work);
            if (found) co_return std::move(*found);
            co_await wait_for_change();
        }
    }

    std::shared_ptr<sqlite_shared> shared_;
    std::chrono::nanoseconds poll_;
    std::int64_t heard_ = 0;
    std::map<std::string, std::int64_t> answered_; // of each inbox
};

std::map<std::string, std::weak_ptr<sqlite_shared>>& open_files() {
    thread_local std::map<std::string, std::weak_ptr<sqlite_shared>> all;
    std::erase_if(all, [](const auto& f) { return f.second.expired(); });
    return all;
}

} // namespace

task<broker_ptr> open_sqlite_broker(std::string file, std::chrono::nanoseconds poll) {
    const std::string name = std::filesystem::absolute(file).lexically_normal().string();
    std::shared_ptr<sqlite_shared> s = open_files()[name].lock();
    if (!s) {
        auto opening = offload(this_loop().blocking_pool(), [](std::string n) { return std::make_unique<sqlite_file>(std::move(n)); }, name);
        s = std::make_shared<sqlite_shared>(co_await opening);
        open_files()[name] = s;
    }
    co_return std::make_shared<sqlite_broker>(std::move(s), poll);
}

} // namespace eddy::jobs::detail
