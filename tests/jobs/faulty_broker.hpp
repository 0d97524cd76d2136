// A broker that fails when a test wants it to, and a worker that has one.
#pragma once

#include "jobs/support.hpp"

#include "../../io/jobs/src/client_core.hpp"
#include "../../io/jobs/src/worker_core.hpp"

namespace jobs_tests {

/// A broker that does what another one does, unless the test has it fail before or after a step.
class faulty_broker final : public jobs::detail::broker {
public:
    using text = std::string;
    explicit faulty_broker(jobs::detail::broker_ptr to) : to_(std::move(to)) {}
    std::function<void(std::string_view step)> before = [](std::string_view) {};
    std::function<void(std::string_view step)> after = [](std::string_view) {};
    std::vector<std::string> sent; // payloads that got through

    task<> enqueue(jobs::detail::outgoing m) override {
        before("enqueue");
        sent.push_back(m.payload);
        co_await to_->enqueue(std::move(m));
    }
    task<> enqueue_once(jobs::detail::outgoing m, text name, duration ttl) override {
        before("enqueue_once");
        co_await to_->enqueue_once(std::move(m), std::move(name), ttl);
        after("enqueue_once");
    }
    task<bool> put_off(text tag, duration pause) override {
        before("put_off");
        const bool gone = co_await to_->put_off(std::move(tag), pause);
        after("put_off");
        co_return gone;
    }
    task<std::vector<jobs::detail::delivery>> claim(std::vector<text> q, std::size_t most) override { return to_->claim(std::move(q), most); }
    task<> acknowledge(text tag) override {
        before("acknowledge");
        co_await to_->acknowledge(std::move(tag));
    }
    task<> finish(text tag, text id, text r, duration ttl) override { return to_->finish(std::move(tag), std::move(id), std::move(r), ttl); }
    task<> give_back(text tag, std::optional<text> p) override { return to_->give_back(std::move(tag), std::move(p)); }
    task<> refresh(std::vector<text> tags) override {
        before("refresh");
        co_await to_->refresh(std::move(tags));
    }
    task<std::size_t> restore(duration lease, int most) override { return to_->restore(lease, most); }
    task<> bury(jobs::dead_letter l) override { return to_->bury(std::move(l)); }
    task<std::vector<jobs::dead_letter>> dead_letters(std::size_t most) override { return to_->dead_letters(most); }
    task<bool> revive(text tag) override { return to_->revive(std::move(tag)); }
    task<std::size_t> length(text q) override { return to_->length(std::move(q)); }
    task<std::size_t> purge(text q) override { return to_->purge(std::move(q)); }
    task<> store(text id, text r, duration ttl) override {
        before("store");
        co_await to_->store(std::move(id), std::move(r), ttl);
    }
    task<std::optional<text>> fetch(text id) override { return to_->fetch(std::move(id)); }
    task<text> wait_final(text id) override {
        before("wait_final");
        text result = co_await to_->wait_final(std::move(id));
        after("wait_final");
        co_return result;
    }
    task<> forget(text id) override { return to_->forget(std::move(id)); }
    task<> store_group(text g, text t, duration ttl) override { return to_->store_group(std::move(g), std::move(t), ttl); }
    task<std::optional<text>> fetch_group(text g) override { return to_->fetch_group(std::move(g)); }
    task<> set_chord_size(text g, std::size_t n, duration ttl) override { return to_->set_chord_size(std::move(g), n, ttl); }
    task<std::optional<std::vector<text>>> add_chord_part(text g, int i, text p, duration ttl) override {
        auto all = co_await to_->add_chord_part(std::move(g), i, std::move(p), ttl);
        after("add_chord_part");
        co_return all;
    }
    task<> end_chord(text g) override { return to_->end_chord(std::move(g)); }
    task<> broadcast(text t) override { return to_->broadcast(std::move(t)); }
    task<> listen() override { return to_->listen(); }
    task<text> next_control() override { return to_->next_control(); }
    task<> answer(json r, text t) override { return to_->answer(std::move(r), std::move(t)); }
    task<> listen_for_answers(text id) override { return to_->listen_for_answers(std::move(id)); }
    task<text> next_answer(text id) override { return to_->next_answer(std::move(id)); }
    task<> end_answers(text id) override { return to_->end_answers(std::move(id)); }
    task<> emit(text k, text t) override { return to_->emit(std::move(k), std::move(t)); }
    task<bool> lock(text n, text o, duration ttl) override { return to_->lock(std::move(n), std::move(o), ttl); }
    task<> declare(text q) override { return to_->declare(std::move(q)); }

private:
    jobs::detail::broker_ptr to_;
};

/// A worker whose broker is a faulty one from its first job on.
class faulty_worker {
public:
    explicit faulty_worker(jobs::worker_options o = {}) : core(std::make_shared<jobs::detail::worker_core>("memory:", std::move(o))) {}
    std::shared_ptr<jobs::detail::worker_core> core;
    std::shared_ptr<faulty_broker> broker;

    template <class F>
    void add(const std::string& name, F f, jobs::task_options o = {}) {
        core->add(name, std::make_shared<jobs::detail::typed_handler<F>>(name, o.parameters, std::move(f)), std::move(o));
    }
    template <class F>
    task<> serve_while(F& body) {
        const auto all = [&](task_group& g) -> task<> {
            auto serving = g.spawn(core->serve());
            co_await core->consuming.wait();
            broker = std::make_shared<faulty_broker>(core->broker);
            core->broker = broker;
            co_await body();
            core->shutdown();
            co_await serving.join();
        };
        reports.clear();
        this_loop().set_exception_handler([this](const error_context& e) { reports += std::string(e.message) + "\n"; });
        co_await with_task_group(all);
        this_loop().set_exception_handler({});
    }
    std::string reports;
};

/// A client whose broker is a faulty one.
inline jobs::client client_of(const std::shared_ptr<faulty_broker>& b) {
    jobs::connect_options o;
    o.queue = "celery";
    return jobs::client(std::make_shared<jobs::detail::client_core>(b, o));
}

} // namespace jobs_tests
