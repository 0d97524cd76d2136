#include <eddy/stop_token.hpp>

#include <eddy/detail/mailbox.hpp>

namespace eddy::detail {

/// On its way to the loop it owns itself: the block may have ended by the time it arrives.
class stop_bridge::message final : public remote_node {
public:
    message(cancel_scope& s, std::shared_ptr<mailbox> m) noexcept
        : remote_node(&arrived), scope(&s), mail(std::move(m)) {}

    cancel_scope* scope; // null once the block has ended
    std::shared_ptr<mailbox> mail;
    std::shared_ptr<message> self;

private:
    static void arrived(remote_node& n) {
        const std::shared_ptr<message> m = std::move(static_cast<message&>(n).self);
        if (m->scope) m->scope->cancel("stop was requested");
    }
};

/// What runs on the thread that requests the stop, at most once.
class stop_bridge::post {
public:
    explicit post(std::shared_ptr<message> m) noexcept : message_(std::move(m)) {}
    void operator()() const noexcept {
        message_->self = message_;
        if (!message_->mail->post(*message_)) message_->self.reset(); // the loop is closed
    }

private:
    std::shared_ptr<message> message_;
};

stop_bridge::stop_bridge(cancel_scope& scope, scheduler& loop, const std::stop_token& token) {
    if (token.stop_requested()) {
        scope.cancel("stop was requested");
        return;
    }
    if (!token.stop_possible()) return;
    message_ = std::make_shared<message>(scope, mailbox_of(loop));
    callback_ = std::make_unique<std::stop_callback<post>>(token, message_);
}

stop_bridge::~stop_bridge() {
    callback_.reset(); // waits for a request that is being made on another thread
    if (message_) message_->scope = nullptr;
}

} // namespace eddy::detail
