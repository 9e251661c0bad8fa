//! What a server answers to which request. It knows no socket.

use super::{Request, Response};

/// The pages of a server, and the answer to every other request.
pub struct Routes {
    pages: Vec<Page>,
    at_once: Box<dyn Fn(&Request) -> Response + Send + Sync>,
}

/// What is made by a thread of its own, once for all who ask for it at a time.
pub(super) struct Page {
    path: &'static str,
    /// The name of a query pair without which another page is meant.
    asked: Option<&'static str>,
    make: Box<dyn Fn() -> Response + Send + Sync>,
}

impl Routes {
    /// Answers every request at once. `answer` runs on the thread that holds all connections: it must not wait for
    /// anything.
    pub fn at_once(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Routes {
        Routes { pages: Vec::new(), at_once: Box::new(answer) }
    }

    /// Serves a page on `path`, which may take time to make and looks the same to all who ask for it at a time.
    #[must_use]
    pub fn page(self, path: &'static str, make: impl Fn() -> Response + Send + Sync + 'static) -> Routes {
        self.with(Page { path, asked: None, make: Box::new(make) })
    }

    /// The same for requests on `path` with a query pair of that name. Of several pages that fit, the first one counts.
    #[must_use]
    pub fn page_if_asked(
        self,
        path: &'static str,
        name: &'static str,
        make: impl Fn() -> Response + Send + Sync + 'static,
    ) -> Routes {
        self.with(Page { path, asked: Some(name), make: Box::new(make) })
    }

    fn with(mut self, page: Page) -> Routes {
        self.pages.push(page);
        self
    }

    /// The answer to a request, made here and now.
    pub fn answer(&self, request: &Request) -> Response {
        match self.find(request).and_then(|number| self.pages.get(number)) {
            Some(page) => page.make(),
            None => self.answer_at_once(request),
        }
    }

    pub(super) fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// The number of the page that a request is for.
    pub(super) fn find(&self, request: &Request) -> Option<usize> {
        self.pages.iter().position(|page| {
            page.path == request.path() && page.asked.is_none_or(|name| request.query(name).is_some())
        })
    }

    pub(super) fn answer_at_once(&self, request: &Request) -> Response {
        (self.at_once)(request)
    }
}

impl Page {
    pub(super) fn make(&self) -> Response {
        (self.make)()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Status, parse_head};

    #[test]
    fn a_page_is_found_by_its_path_and_by_what_is_asked_for() {
        let text = |text: &'static str| move || Response::text(Status::Ok, text);
        let routes = Routes::at_once(|_| Response::not_found())
            .page_if_asked("/ready", "wait", text("waits"))
            .page("/ready", text("ready"));
        let rows = [
            ("/ready", "ready"),
            ("/ready?wait", "waits"),
            ("/ready?a=b&wait=1", "waits"),
            ("/ready?waits", "ready"),
            ("/ready/", "not found\n"),
        ];
        for (target, body) in rows {
            let request = parse_head(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes()).unwrap().unwrap();
            assert_eq!(routes.answer(&request).body(), body.as_bytes(), "{target}");
        }
    }
}
