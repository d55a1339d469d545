//@ free:
//= free()
#[attributes]
fn free() -> AppResult<()> {
    PROBE.run()?;
    Ok(())
}
//@ free_async: async
//= free_async()
#[attributes]
async fn free_async() -> AppResult<()> {
    PROBE.run_async().await?;
    Ok(())
}
//@ by_value:
//= by_value(2, "two".to_owned(), PROBE.held())
#[attributes]
fn by_value(number: u32, text: String, _held: Held) -> AppResult<String> {
    let _running = PROBE.run()?;
    Ok(format!("{text}{number}"))
}
//@ by_value_async: async
//= by_value_async(2, "two".to_owned(), PROBE.held())
#[attributes]
async fn by_value_async(number: u32, text: String, _held: Held) -> AppResult<String> {
    let _running = PROBE.run_async().await?;
    Ok(format!("{text}{number}"))
}
//@ patterns:
//= patterns((1, 2), vec![3], (PROBE.held(), PROBE.held()), 0, [4])
#[attributes]
fn patterns(
    (left, mut right): (u32, u32),
    mut list: Vec<u32>,
    (_held, _): (Held, Held),
    _: u8,
    [only]: [u32; 1],
) -> AppResult<Vec<u32>> {
    let _running = PROBE.run()?;
    right += left;
    list.extend([right, only]);
    Ok(list)
}
//@ patterns_async: async
//= patterns_async((1, 2), vec![3], (PROBE.held(), PROBE.held()), 0, [4])
#[attributes]
async fn patterns_async(
    (left, mut right): (u32, u32),
    mut list: Vec<u32>,
    (_held, _): (Held, Held),
    _: u8,
    [only]: [u32; 1],
) -> AppResult<Vec<u32>> {
    let _running = PROBE.run_async().await?;
    right += left;
    list.extend([right, only]);
    Ok(list)
}
//@ returns_early:
//= returns_early(Some(5), PROBE.held())
#[attributes]
fn returns_early(number: Option<u32>, held: Held) -> AppResult<Option<u32>> {
    let running = PROBE.run()?;
    let Some(number) = number else {
        return Ok(None);
    };
    if number > 4 {
        let _both = (running, held);
        return Ok(Some(number));
    }
    unreachable!()
}
//@ returns_early_async: async
//= returns_early_async(Some(5), PROBE.held())
#[attributes]
async fn returns_early_async(number: Option<u32>, held: Held) -> AppResult<Option<u32>> {
    let running = PROBE.run_async().await?;
    let Some(number) = number else {
        return Ok(None);
    };
    if number > 4 {
        let _both = (running, held);
        return Ok(Some(number));
    }
    unreachable!()
}
//@ generic:
//= generic(7_u8, PROBE.held())
#[attributes]
fn generic<T, U>(value: T, other: U) -> AppResult<String>
where
    T: Display + Clone + Send + Sync + 'static,
    U: Debug + Clone + Send + Sync + 'static,
{
    let _running = PROBE.run()?;
    let _other = other;
    Ok(value.to_string())
}
//@ generic_async: async
//= generic_async(7_u8, PROBE.held())
#[attributes]
async fn generic_async<T, U>(value: T, other: U) -> AppResult<String>
where
    T: Display + Clone + Send + Sync + 'static,
    U: Debug + Clone + Send + Sync + 'static,
{
    let _running = PROBE.run_async().await?;
    let _other = other;
    Ok(value.to_string())
}
//@ const_generic:
//= const_generic([PROBE.held(), PROBE.held()])
#[attributes]
fn const_generic<const N: usize>(list: [Held; N]) -> AppResult<usize> {
    let _running = PROBE.run()?;
    Ok(N + list.len())
}
//@ impl_argument:
//= impl_argument("text")
#[attributes]
fn impl_argument(value: impl Into<String> + Clone + Send + Sync + 'static) -> AppResult<String> {
    let _running = PROBE.run()?;
    Ok(value.into())
}
//@ impl_output: cache
//= impl_output(3).map(Iterator::sum::<u32>)
#[attributes]
fn impl_output(upto: u32) -> AppResult<impl Iterator<Item = u32> + Send> {
    let _running = PROBE.run()?;
    Ok(0..upto)
}
//@ impl_output_async: async cache
//= async { impl_output_async(3).await.map(Iterator::sum::<u32>) }
#[attributes]
async fn impl_output_async(upto: u32) -> AppResult<impl Iterator<Item = u32> + Send> {
    let _running = PROBE.run_async().await?;
    Ok(0..upto)
}
//@ trait_object:
//= trait_object(Box::new(|| 9))
#[attributes]
fn trait_object(call: Box<fn() -> u32>) -> AppResult<Arc<dyn Debug + Send + Sync>> {
    let _running = PROBE.run()?;
    Ok(Arc::new(call()))
}
//@ boxed_error:
//= boxed_error(1)
type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[attributes]
fn boxed_error(number: u32) -> Result<u32, BoxError> {
    let _running = PROBE.run()?;
    Ok(number)
}
//@ result_of_core:
//= result_of_core(1)
#[attributes]
fn result_of_core(number: u32) -> core::result::Result<(u32,), Failure> {
    let _running = PROBE.run()?;
    Ok((number,))
}
//@ lends: timeout cache
//= lends("text", &PROBE.held())
#[attributes]
fn lends<'a>(text: &'a str, _held: &Held) -> AppResult<&'a str> {
    let _running = PROBE.run()?;
    Ok(&text[1..])
}
//@ lends_async: async cache
//= async { lends_async("text", &PROBE.held()).await }
#[attributes]
async fn lends_async<'a>(text: &'a str, _held: &Held) -> AppResult<&'a str> {
    let _running = PROBE.run_async().await?;
    Ok(&text[1..])
}
//@ changes: timeout
//= changes(&mut vec![1], &mut 2)
#[attributes]
fn changes(list: &mut Vec<u32>, number: &mut u32) -> AppResult<u32> {
    let _running = PROBE.run()?;
    *number += 1;
    list.push(*number);
    Ok(list.iter().sum())
}
//@ changes_async: async
//= async { changes_async(&mut vec![1], &mut 2).await }
#[attributes]
async fn changes_async(list: &mut Vec<u32>, number: &mut u32) -> AppResult<u32> {
    let _running = PROBE.run_async().await?;
    *number += 1;
    list.push(*number);
    Ok(list.iter().sum())
}
//@ shared_method: timeout
//= Service(1).shared(1)
struct Service(u32);

impl Service {
    #[attributes]
    fn shared(&self, more: u32) -> AppResult<u32> {
        let _running = PROBE.run()?;
        Ok(self.0 + more)
    }
}
//@ exclusive_method: timeout
//= Service(1).change()
struct Service(u32);

impl Service {
    #[attributes]
    fn change(&mut self) -> AppResult<u32> {
        let _running = PROBE.run()?;
        self.0 += 1;
        Ok(self.0)
    }
}
//@ shared_method_async: async
//= async { Service(1).shared(1).await }
struct Service(u32);

impl Service {
    #[attributes]
    async fn shared(&self, more: u32) -> AppResult<u32> {
        let _running = PROBE.run_async().await?;
        Ok(self.0 + more)
    }
}
//@ exclusive_method_async: async
//= async { Service(1).change().await }
struct Service(u32);

impl Service {
    #[attributes]
    async fn change(&mut self) -> AppResult<u32> {
        let _running = PROBE.run_async().await?;
        self.0 += 1;
        Ok(self.0)
    }
}
//@ method_by_value:
//= Service(1, PROBE.held(), PROBE.held()).into_parts(PROBE.held())
#[derive(Clone)]
#[allow(dead_code)]
struct Service(u32, Held, Held);

impl Service {
    #[attributes]
    fn into_parts(mut self, held: Held) -> AppResult<u32> {
        let _running = PROBE.run()?;
        self.0 += 1;
        let Self(number, first, _) = self;
        drop((first, held));
        Ok(number)
    }
}
//@ method_by_value_async: async
//= Service(1, PROBE.held(), PROBE.held()).into_parts(PROBE.held())
#[derive(Clone)]
#[allow(dead_code)]
struct Service(u32, Held, Held);

impl Service {
    #[attributes]
    async fn into_parts(mut self, held: Held) -> AppResult<u32> {
        let _running = PROBE.run_async().await?;
        self.0 += 1;
        let Self(number, first, _) = self;
        drop((first, held));
        Ok(number)
    }
}
//@ method_of_arc:
//= Arc::new(Service(1, PROBE.held())).shared()
#[allow(dead_code)]
struct Service(u32, Held);

impl Service {
    #[attributes]
    fn shared(self: Arc<Self>) -> AppResult<u32> {
        let _running = PROBE.run()?;
        let moved = self;
        Ok(moved.0)
    }
}
//@ method_of_arc_async: async
//= Arc::new(Service(1, PROBE.held())).shared()
#[allow(dead_code)]
struct Service(u32, Held);

impl Service {
    #[attributes]
    async fn shared(self: Arc<Self>) -> AppResult<u32> {
        let _running = PROBE.run_async().await?;
        let moved = self;
        Ok(moved.0)
    }
}
//@ associated:
//= Service::made(4)
#[derive(Clone, Debug)]
pub struct Service(#[allow(dead_code)] u32);

impl Service {
    #[attributes]
    fn made(number: u32) -> AppResult<Self> {
        let _running = PROBE.run()?;
        Ok(Self(number))
    }
}
//@ method_of_a_generic_type:
//= Service(PROBE.held(), 1).get()
#[derive(Clone)]
struct Service<T>(T, u32);

impl<T: Clone + Send + Sync + 'static> Service<T> {
    #[attributes]
    fn get(self) -> AppResult<u32> {
        let _running = PROBE.run()?;
        let _first = &self.0;
        Ok(self.1)
    }
}
//@ method_of_a_trait: timeout
//= Disk.load("key")
trait Store {
    fn load(&self, key: &str) -> AppResult<usize>;
}

struct Disk;

impl Store for Disk {
    #[attributes]
    fn load(&self, key: &str) -> AppResult<usize> {
        let _running = PROBE.run()?;
        Ok(key.len())
    }
}
//@ method_of_a_trait_async: async
//= async { Disk.load("key").await }
trait Store {
    fn load(&self, key: &str) -> impl Future<Output = AppResult<usize>>;
}

struct Disk;

impl Store for Disk {
    #[attributes]
    async fn load(&self, key: &str) -> AppResult<usize> {
        let _running = PROBE.run_async().await?;
        Ok(key.len())
    }
}
//@ default_method: timeout
//= (&Disk as &dyn Store).twice(2)
trait Store {
    fn once(&self) -> u32;

    #[attributes]
    fn twice(&self, number: u32) -> AppResult<u32> {
        let _running = PROBE.run()?;
        Ok(2 * self.once() + number)
    }
}

struct Disk;

impl Store for Disk {
    fn once(&self) -> u32 {
        3
    }
}
//@ async_trait: async
//= async { (&Disk as &dyn Store).load("key", (1, 2), PROBE.held()).await }
#[async_trait::async_trait]
trait Store {
    async fn load(&self, key: &str, pair: (u32, u32), held: Held) -> AppResult<String>;
}

struct Disk;

#[async_trait::async_trait]
impl Store for Disk {
    #[attributes]
    async fn load(&self, key: &str, (low, high): (u32, u32), _held: Held) -> AppResult<String> {
        let _running = PROBE.run_async().await?;
        if low > high {
            return Ok(String::new());
        }
        Ok(format!("{key}{low}{high}"))
    }
}
//@ returned_future: async
//= returned_future(2, PROBE.held())
#[attributes]
fn returned_future(number: u32, held: Held) -> impl Future<Output = AppResult<u32>> + Send {
    let doubled = 2 * number;
    async move {
        let _held = held;
        let _running = PROBE.run_async().await?;
        Ok(doubled)
    }
}
//@ boxed_future: async
//= boxed_future(2, PROBE.held())
#[attributes]
fn boxed_future(number: u32, held: Held) -> Pin<Box<dyn Future<Output = AppResult<u32>> + Send>> {
    if number == 0 {
        return Box::pin(std::future::ready(Ok(0)));
    }
    Box::pin(async move {
        let _held = held;
        let _running = PROBE.run_async().await?;
        Ok(number)
    })
}
//@ borrowing_boxed_future: async
//= async { borrowing_boxed_future(&42.to_string()).await }
#[attributes]
fn borrowing_boxed_future<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = AppResult<usize>> + 'a>> {
    Box::pin(async move {
        let _running = PROBE.run_async().await?;
        Ok(text.len())
    })
}
//@ unsafe_function:
//= unsafe { unsafe_function(2) }
#[attributes]
unsafe fn unsafe_function(number: u32) -> AppResult<u32> {
    let _running = PROBE.run()?;
    Ok(number)
}
//@ inner_function:
//= outer(2)
fn outer(number: u32) -> AppResult<u32> {
    #[attributes]
    fn inner(number: u32) -> AppResult<u32> {
        const MORE: u32 = 1;
        let _running = PROBE.run()?;
        Ok(number + MORE)
    }
    inner(number)
}
//@ made_by_a_macro:
//= made_by_a_macro(2)
macro_rules! make {
    ($name:ident, $argument:ident, $output:ty, $body:block) => {
        #[attributes]
        fn $name($argument: u32) -> $output $body
    };
}
make!(made_by_a_macro, number, AppResult<u32>, {
    let _running = PROBE.run()?;
    Ok(number)
});
//@ never_fails: infallible
//= never_fails(2, PROBE.held())
#[attributes]
fn never_fails(number: u32, _held: Held) -> u32 {
    let _running = PROBE.run();
    number
}
//@ never_fails_async: async infallible
//= never_fails_async(2, PROBE.held())
#[attributes]
async fn never_fails_async(number: u32, _held: Held) -> u32 {
    let _running = PROBE.run_async().await;
    number
}
//@ unit: infallible
//= unit(PROBE.held())
#[attributes]
fn unit(_held: Held) {
    let _running = PROBE.run();
}
//@ unit_async: async infallible
//= unit_async(PROBE.held())
#[attributes]
async fn unit_async(_held: Held) {
    let _running = PROBE.run_async().await;
}
//@ option: infallible
//= option(Some(1))
#[attributes]
fn option(number: Option<u32>) -> Option<u32> {
    let _running = PROBE.run().ok()?;
    Some(number? + 1)
}
//@ option_async: async infallible
//= option_async(Some(1))
#[attributes]
async fn option_async(number: Option<u32>) -> Option<u32> {
    let _running = PROBE.run_async().await.ok()?;
    Some(number? + 1)
}
