// What misuse throws: exactly which type, and which sentence.
#include <eddy/coro.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/testing.hpp>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <typeinfo>

using namespace eddy;

namespace {

/// The message of what `f` throws if that is exactly an E, no class derived from it; else what else came of it.
template <class E, class F>
std::string message_of(F&& f) {
    try {
        static_cast<void>(f());
    } catch (const E& e) {
        return typeid(e) == typeid(E) ? e.what() : std::string("a ") + typeid(e).name() + ": " + e.what();
    } catch (...) {
        return "another type: " + eddy::detail::describe(std::current_exception());
    }
    return "ok";
}

} // namespace

TEST_CASE("misuse is a std::logic_error, an argument that makes no sense a std::invalid_argument, each with a sentence") {
    CHECK(message_of<std::invalid_argument>([] { semaphore s(-1); return 0; }) ==
          "semaphore: the number of permits cannot be negative (-1)");
    CHECK(message_of<std::invalid_argument>([] { barrier b(0); return 0; }) == "barrier: it needs at least one party (0)");
    queue<int> q(1);
    CHECK(message_of<std::logic_error>([&] { q.task_done(); return 0; }) ==
          "queue::task_done was called more often than there were items");
    semaphore bounded(1, 1);
    CHECK(message_of<std::logic_error>([&] { bounded.release(); return 0; }) ==
          "semaphore::release: more permits were released than the bound allows");
    cancel_scope s;
    CHECK(message_of<std::logic_error>([&] { s.reschedule(std::nullopt); return 0; }) == "reschedule: the scope has not been entered yet");
    task_group g;
    CHECK(message_of<std::logic_error>([&] { return g.spawn([]() -> task<> { co_return; }); }) ==
          "task_group::spawn before the group was entered: use it inside with_task_group");
    event_loop loop;
    loop.close();
    CHECK(message_of<std::logic_error>([&] { return loop.call_soon([] {}); }) == "call_soon: the event_loop is closed");
}
