// The component http: a server and a client of it on one loop.
#include <eddy/eddy.hpp>
#include <eddy/http.hpp>

#include <cstdio>
#include <string>

namespace {

eddy::task<eddy::http::response> answer(eddy::http::request) { co_return eddy::http::response{200, "hi"}; }

eddy::task<> main_task() {
    eddy::http::server server{answer};
    co_await server.listen({"127.0.0.1", 0});
    eddy::http::client client;
    std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/";
    eddy::http::response response = co_await client.get(url);
    std::printf("http %s\n", response.status == 200 && response.body == "hi" ? "ok" : "wrong");
}

}  // namespace

int main() { return eddy::run_main(main_task()); }
