#include <eddy/coro.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_observer.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// Writes down what it sees of the tasks that have a name of one letter.
class note_taker final : public task_observer {
public:
    std::string log;

private:
    void note(const char* what, const any_task& t) {
        if (t.name().size() == 1) log += what + t.name() + " ";
    }
    void spawned(const any_task& t) noexcept override { note("+", t); }
    void step_begins(const any_task& t) noexcept override { note("<", t); }
    void step_ends(const any_task& t) noexcept override { note(">", t); }
    void ended(const any_task& t) noexcept override { note("-", t); }
};

} // namespace

EDDY_TEST("an observer sees tasks come, run and go") {
    note_taker notes;
    this_loop().add_observer(notes);
    auto h = spawn([]() -> task<> { co_await this_task::yield(); }, {.name = "a"});
    co_await h;
    CHECK(notes.log == "+a <a >a <a -a >a ");
    this_loop().remove_observer(notes);
    auto unseen = spawn([]() -> task<> { co_return; }, {.name = "b"});
    co_await unseen;
    CHECK(notes.log == "+a <a >a <a -a >a ");
}

EDDY_TEST("observers: several, eager tasks, the end by destruction, misuse") {
    note_taker first;
    this_loop().add_observer(first);
    {
        note_taker second;
        this_loop().add_observer(second);
        auto h = spawn_eager([]() -> task<> { co_return; }, spawn_options{.name = "e"});
        co_await h;
        CHECK(second.log == "+e <e -e >e ");
    }
    CHECK(first.log == "+e <e -e >e ");
    CHECK(words::throws<std::logic_error>([&] { this_loop().add_observer(first); return 0; }));
    auto after = spawn([]() -> task<> { co_return; }, {.name = "z"});
    co_await after;
    CHECK(first.log == "+e <e -e >e +z <z -z >z ");
}

TEST_CASE("an observer may outlive its loop") {
    note_taker notes;
    {
        event_loop loop;
        loop.add_observer(notes);
        loop.spawn([]() -> task<> { co_return; }, {.name = "a"});
        loop.poll();
    }
    CHECK(notes.log == "+a <a -a >a ");
    event_loop another;
    CHECK(words::throws<std::logic_error>([&] { another.add_observer(notes); return 0; }));
}

EDDY_TEST("an observer may take the next one away") {
    class jealous final : public task_observer {
    public:
        std::unique_ptr<note_taker> other = std::make_unique<note_taker>();

    private:
        void spawned(const any_task&) noexcept override { other.reset(); }
    };
    jealous j;
    this_loop().add_observer(*j.other);
    this_loop().add_observer(j); // told first
    auto h = spawn([]() -> task<> { co_return; });
    co_await h;
    CHECK_FALSE(j.other);
}
